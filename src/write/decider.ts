type Message = Readonly<{ type: string }>;

/** One handler per message type; a missing one is a compile error. */
export type Handlers<M extends Message, State, Result> = {
  readonly [Type in M['type']]: (state: State, message: Extract<M, { type: Type }>) => Result;
};

/** The rules of one stream. `decide` refuses by throwing `Rejected`; neither function does I/O. */
export type Decider<Command, Event, State> = Readonly<{
  initialState: State;
  evolve: (state: State, event: Event) => State;
  decide: (state: State, command: Command) => readonly Event[];
}>;

export function decider<Command extends Message, Event extends Message, State>(rules: {
  initialState: State;
  evolve: Handlers<Event, State, State>;
  decide: Handlers<Command, State, readonly Event[]>;
}): Decider<Command, Event, State> {
  return {
    initialState: rules.initialState,
    evolve: (state, event) => dispatch(rules.evolve, state, event),
    decide: (state, command) => dispatch(rules.decide, state, command),
  };
}

function dispatch<M extends Message, State, Result>(
  handlers: Handlers<M, State, Result>,
  state: State,
  message: M,
): Result {
  // TypeScript cannot see that `handlers[m.type]` takes exactly `m`; `Handlers` guarantees it.
  const handler = handlers[message.type as M['type']] as (state: State, message: M) => Result;
  return handler(state, message);
}
