/** Taking members out of a manifest's text. Pure. */
import { removeMember, setRole } from '../../manifest/edit.ts';
import { loadManifest } from '../../manifest/load.ts';
import { primaryOf } from './names.ts';

/**
 * The text without these members of the group. After a failover the manifest may still call one of them its primary:
 * then the role goes to `primary`, who has it by now.
 */
export function withoutMembers(text: string, group: string, names: readonly string[], primary: string | null): string {
  const loaded = loadManifest(text, { file: 'the manifest', baseDir: '/' });
  const named = loaded.ok && loaded.spec.groups[group] !== undefined ? primaryOf(loaded.spec.groups[group]) : null;
  const moved = named !== null && primary !== null && named !== primary && names.includes(named);
  const handed = moved ? setRole(setRole(text, group, named, 'replica'), group, primary, 'primary') : text;
  return names.reduce((edited, name) => removeMember(edited, group, name), handed);
}
