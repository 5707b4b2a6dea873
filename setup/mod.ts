// What a fresh clone needs before anything runs: programs found or installed, and each of our own as one bundled file.

export { bundle } from './bundle.ts';
export type { Program } from './bundle.ts';
export { ensurePrograms } from './programs.ts';
export { SetupError } from './say.ts';
