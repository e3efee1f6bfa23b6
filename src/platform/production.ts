// To be imported before anything else: `graphql` looks at this variable when it is loaded, and without it looks for a
// second copy of itself at each value of each answer, which is a tenth of the time of a list.
// oxlint-disable-next-line node/no-process-env
process.env['NODE_ENV'] ??= 'production';
