/** Keys of a store: `a/b/c`. Pure. */

/** The last part of a key. */
export const nameOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1);

/** The key of what lies directly below `folder`. */
export const keyIn = (folder: string, name: string): string => (folder === '.' ? name : `${folder}/${name}`);

/** What lies beside a folder that is not there yet, or no more: `.NAME.new` or `.NAME.gone`. */
export function beside(key: string, what: 'new' | 'gone'): string {
  const at = key.lastIndexOf('/') + 1;
  return `${key.slice(0, at)}.${key.slice(at)}.${what}`;
}
