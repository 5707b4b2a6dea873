// What a fresh clone needs before anything runs: programs found or installed, and each of our own as one bundled file.

export { bundle } from './bundle.ts';
export type { Program } from './bundle.ts';
export { findVirtiofsd } from './find.ts';
export { findKernel } from './kernel.ts';
export type { Kernel } from './kernel.ts';
export { ensurePrograms } from './programs.ts';
export { SetupError } from './say.ts';
