// The clusterset's trust, records and NATS. Nothing that comes from the broker is believed for where it came from: it
// is a signed statement that the pinned root stands behind, or it is refused.

export type {
  IssuedToken,
  IssueTokenOptions,
  ListedMember,
  MemberState,
  Revoked,
  RevokeOptions,
} from './agent/manage.ts';
export { issueToken, listMembers, revokeMember } from './agent/manage.ts';
export type { MembershipFault } from './join/errors.ts';
export { JoinError } from './join/errors.ts';
export type { Joined, JoinOptions } from './join/join.ts';
export { joinClusterset } from './join/join.ts';
export type { LeaveOptions, Left } from './join/leave.ts';
export { leaveClusterset } from './join/leave.ts';
export type { Member, MemberOptions } from './member/member.ts';
export { openMember } from './member/member.ts';
export type { Membership, MembershipFiles, OpenMembership } from './member/membership.ts';
export { loadMembership, saveMembership } from './member/membership.ts';
export type { BrokerStatus } from './member/status.ts';
export { Store } from './member/store.ts';
export type { Beacon } from './records/beacon.ts';
export { openBeacon, signBeacon } from './records/beacon.ts';
export type { CreateBrokerOptions, CreatedBroker } from './server/create.ts';
export { createBroker } from './server/create.ts';
export { NoBrokerError } from './server/data-directory.ts';
export { BrokerRunningError } from './server/lock.ts';
export type { Broker, StartBrokerOptions } from './server/start.ts';
export { startBroker } from './server/start.ts';
export type { Verdict } from './trust/admission.ts';
export { admit } from './trust/admission.ts';
export type { AuthorityKey, Root, Signer } from './trust/authority.ts';
export {
  clustersetId,
  membershipAuthority,
  pinRoot,
  rootAuthority,
  signDelegation,
} from './trust/authority.ts';
export type { Certificate, SignedCertificate } from './trust/certificate.ts';
export { openCertificate, sharedCidr, signCertificate } from './trust/certificate.ts';
export type { Fabric } from './trust/fabric.ts';
export { fabricOf } from './trust/fabric.ts';
export type { Account } from './trust/header.ts';
export { isAccount, parseAccount } from './trust/header.ts';
export type { VerifyingKey } from './trust/keys.ts';
export { isVerifyingKey, keyId, parseVerifyingKey, SigningKey } from './trust/keys.ts';
export { directoryDigest, Ledger } from './trust/ledger.ts';
export { Merge } from './trust/merge.ts';
export { signRecord } from './trust/record.ts';
export type { RefusalCode } from './trust/refusal.ts';
export { ALARM_CODES, Refused } from './trust/refusal.ts';
export type { RevokedBy, SignedRevocation } from './trust/revocation.ts';
export { openRevocation, signDeparture, signRevocation } from './trust/revocation.ts';
export type { JoinToken, TokenFault } from './trust/token.ts';
export { checkToken, encodeToken, parseToken, TokenError } from './trust/token.ts';
export type { ClustersetView, GatewayView, MemberView } from './view.ts';
