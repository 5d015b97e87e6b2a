import type { OrbitEvent } from '../../observe/event.ts';
import type { Style } from './style.ts';

/** One event as a line of a log: time, place, what. */
export function renderEvent(event: OrbitEvent, style: Style): string {
  const place = [event.host, event.group, event.member].filter((part) => part !== null).join('/');
  return `${style.dim(localTime(event.time))}  ${place}  ${mark(event, style)}${event.message}${style.dim(`  [${event.kind}]`)}\n`;
}

/** One event beside a step that waits: just what happened. */
export function renderEventLine(event: OrbitEvent, style: Style): string {
  return `${mark(event, style)}${event.message}`;
}

function mark(event: OrbitEvent, style: Style): string {
  if (event.level === 'error') return `${style.red('error:')} `;
  return event.level === 'warning' ? `${style.yellow('warning:')} ` : '';
}

/** ISO time as the terminal's own: `2026-01-31 12:00:01.234`. */
function localTime(iso: string): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  const two = (n: number, width = 2): string => String(n).padStart(width, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${two(at.getMilliseconds(), 3)}`;
}
