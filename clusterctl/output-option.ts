// The option that every printing command has.

import { Option } from 'commander';

export type Format = 'table' | 'json' | 'yaml';

/** The same value as a table or as data. */
export function outputOption(): Option {
  return new Option('-o, --output <format>', 'table, json or yaml')
    .choices(['table', 'json', 'yaml'])
    .default('table');
}
