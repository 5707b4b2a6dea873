// Configuration text of one nats-server in operator mode.
// This module is pure.

import type { NkeyPublic } from './nkey.ts';

export interface ServerConfig {
  readonly name: string;
  /** Address literal to listen on. */
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly certFile: string; readonly keyFile: string };
  /** JetStream's directory and its bounds, in bytes. */
  readonly store: { readonly directory: string; readonly maxFile: number; readonly maxMemory: number };
  readonly operatorJwt: string;
  readonly systemAccount: NkeyPublic;
  readonly resolverDirectory: string;
  /** Account JWTs that the server has to know before anybody can hand it one. */
  readonly preload: ReadonlyMap<NkeyPublic, string>;
  /** Bytes of the largest message. */
  readonly maxPayload: number;
  /** Seconds between the server's pings; two unanswered end a connection. */
  readonly pingInterval: number;
}

/** JSON, which nats-server's own syntax contains; no monitoring, route, leafnode or gateway listener. */
export function renderServerConfig(config: ServerConfig): string {
  const { host, tls, store } = config;
  const value = {
    server_name: config.name,
    listen: `${host.includes(':') ? `[${host}]` : host}:${config.port}`,
    tls: { cert_file: tls.certFile, key_file: tls.keyFile, timeout: 5 },
    jetstream: {
      store_dir: store.directory,
      max_file_store: store.maxFile,
      max_memory_store: store.maxMemory,
    },
    operator: config.operatorJwt,
    system_account: config.systemAccount,
    resolver: { type: 'full', dir: config.resolverDirectory, allow_delete: true, interval: '2m' },
    resolver_preload: Object.fromEntries(config.preload),
    max_payload: config.maxPayload,
    // A reader that stalls is dropped and resynchronises; it must not hold the server's memory.
    max_pending: 16 * 1024 * 1024,
    write_deadline: '5s',
    ping_interval: `${config.pingInterval}s`,
    ping_max: 2,
    logtime: false,
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}
