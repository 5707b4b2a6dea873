// Tests that need root and network namespaces: one after the other, each with time for real processes.

export default {
  extensions: ['ts'],
  files: ['lab/tests/**/*.test.ts'],
  concurrency: 1,
  serial: true,
  timeout: '5m',
};
