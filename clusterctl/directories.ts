// Where things lie unless the command line says otherwise.
// This module is pure.

export const DIRECTORIES = {
  site: '/etc/isthmus',
  secrets: '/var/lib/isthmus/secrets',
  state: '/var/lib/isthmus/state',
  broker: '/var/lib/isthmus/broker',
} as const;
