// Tests that need nothing but Node and a nats-server.

export default {
  extensions: ['ts'],
  files: ['**/*.test.ts', '!lab/tests/**', '!lab/kernel/**'],
  timeout: '2m',
};
