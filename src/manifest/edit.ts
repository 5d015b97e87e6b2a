import { PgorbitError } from '../errors.ts';
import type { MemberSpec, Role } from '../group/model.ts';

const unbuilt = (...args: unknown[]): never => { throw new PgorbitError('internal', `no editor yet (${args.length} arguments)`); };

/** The text with one more member at the end of the group's `members`; comments, blank lines and order stay. */
export function addMember(text: string, group: string, member: MemberSpec): string { return unbuilt(text, group, member); }
/** The text without the member. */
export function removeMember(text: string, group: string, name: string): string { return unbuilt(text, group, name); }
/** The text with another role for the member. */
export function setRole(text: string, group: string, name: string, role: Role): string { return unbuilt(text, group, name, role); }
/** The text with the setting at `value`, or without it for null. */
export function setSetting(text: string, group: string, name: string, value: string | null): string { return unbuilt(text, group, name, value); }
