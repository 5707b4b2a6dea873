// How often one and the same thing is worth a line: what somebody else can cause must not fill a disk.
// This module is pure.

export interface SparingOptions {
  /** Milliseconds between two lines about the same. @default 60000 */
  readonly periodMs?: number;
  /** Different things remembered; beyond it, all new ones are one. @default 1024 */
  readonly keys?: number;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
}

interface Said {
  at: number;
  held: number;
}

/** Lets the first line about each thing through, then one a period. */
export class Sparing {
  readonly #options: Required<SparingOptions>;
  readonly #said = new Map<string, Said>();

  constructor({ periodMs = 60_000, keys = 1024, now }: SparingOptions) {
    this.#options = { periodMs, keys, now };
  }

  /** Whether to write the line; if so, how many were held back since the last one about the same. */
  ask(about: string): { readonly held: number } | undefined {
    const { periodMs, keys, now } = this.#options;
    const time = now();
    const key = this.#said.has(about) || this.#said.size < keys ? about : '';
    const said = this.#said.get(key);
    if (said !== undefined && time - said.at < periodMs) {
      said.held += 1;
      return undefined;
    }
    this.#said.set(key, { at: time, held: 0 });
    return { held: said?.held ?? 0 };
  }
}
