// Tests that run in a virtual machine with a stock kernel: what is there alone, and what has to hold on its WireGuard as well.

export default {
  extensions: ['ts'],
  files: ['lab/kernel/**/*.test.ts', '!lab/kernel/failover.test.ts', 'lab/tests/wireguard.test.ts'],
  // Quantity is no matter of the kernel, and slow to emulate.
  match: ['*', '!*a thousand peers*'],
  concurrency: 1,
  serial: true,
  timeout: '5m',
};
