// The refusal of a site file: where it is wrong, to the line.
// This module is pure.

/** Where something stands: the file, its line from 1 on (0: all of it), and the field as `nodes[1].endpoint.port`; empty is the file itself. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly field: string;
}

/** A file of the site directory that cannot be used. */
export class SiteError extends SyntaxError {
  override readonly name = 'SiteError';
  readonly place: Place;

  constructor(place: Place, reason: string, options?: ErrorOptions) {
    const line = place.line === 0 ? '' : `:${place.line}`;
    const field = place.field === '' ? '' : ` ${place.field}`;
    super(`Cannot read ${place.file}${line}${field}: ${reason}`, options);
    this.place = place;
  }
}

/** `['nodes', 1, 'endpoint', 'port']` as `nodes[1].endpoint.port`. */
export function fieldName(path: readonly (string | number)[]): string {
  return path
    .map((step, at) => (typeof step === 'number' ? `[${step}]` : `${at === 0 ? '' : '.'}${step}`))
    .join('');
}
