// A small face over pino, so that who logs needs neither its types nor its options.

import { pino, stdSerializers } from 'pino';

export type Level = 'debug' | 'info' | 'warn' | 'error';

/** What a line is about. `error` holds an Error; `condition` and `about` hold a condition's code and thing. */
export type Fields = Readonly<Record<string, unknown>>;

/** Fields first, then one sentence for people. The sentence is constant, what varies is in the fields. */
export interface Log {
  debug(fields: Fields, message: string): void;
  debug(message: string): void;
  info(fields: Fields, message: string): void;
  info(message: string): void;
  warn(fields: Fields, message: string): void;
  warn(message: string): void;
  error(fields: Fields, message: string): void;
  error(message: string): void;
  /** The same log with these fields on every line. */
  child(fields: Fields): Log;
}

export interface LogOptions {
  /** The program, on every line. */
  readonly component: string;
  /** @default 'info' */
  readonly level?: Level;
  /** Where lines go, newline included. @default standard output, written synchronously so that a dying daemon's last line is not lost */
  readonly destination?: { write(line: string): void };
  /** @default the system's clock */
  readonly now?: () => Date;
}

/** Fields that are secret wherever they stand, at any of the first levels of a line. */
const SECRETS = ['privateKey', 'presharedKey', 'seed', 'secret', 'token', 'password', 'creds', 'jwt'];
const DEPTHS = ['', '*.', '*.*.'];

export function openLog({ component, level = 'info', destination, now = () => new Date() }: LogOptions): Log {
  return pino(
    {
      level,
      base: { component },
      timestamp: () => `,"time":"${now().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
      errorKey: 'error',
      serializers: { error: stdSerializers.err },
      redact: { paths: DEPTHS.flatMap((depth) => SECRETS.map((name) => depth + name)), censor: '[redacted]' },
    },
    destination ?? standardOutput(),
  );
}

/** Bytes of lines that wait for a disk with room; what comes on top is lost. */
const WAITING = 1024 * 1024;

/** A file on a full disk takes no line, and is no reason for a daemon to die. */
function standardOutput(): { write(line: string): void } {
  const output = pino.destination({ fd: 1, sync: true, maxLength: WAITING });
  output.on('error', () => {});
  return output;
}
