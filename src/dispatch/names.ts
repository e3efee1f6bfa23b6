/** The followers of this folder, as their checkpoints are named. */
export const DISPATCH = 'dispatch';
export const RELAY = 'relay';
export const CANCEL_COMMANDS = 'cancel-commands';
