// Holds a demo's name, so that two that run at once do not remove each other's lab.

import net from 'node:net';

/**
 * Takes a name for as long as this process lives, however it ends: an abstract socket is the kernel's to forget, where a file
 * would have to be removed.
 *
 * @returns whether it was free
 */
export async function claim(name: string): Promise<boolean> {
  const server = net.createServer().unref();
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  server.on('listening', () => resolve(true));
  server.on('error', (error: NodeJS.ErrnoException) =>
    error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
  );
  server.listen(`\0isthmus-demo-${name}`);
  return promise;
}
