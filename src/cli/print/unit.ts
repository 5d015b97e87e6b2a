/** A systemd unit for an agent: systemd.service(5), systemd.kill(5), systemd.resource-control(5). Pure. */

export interface UnitFacts {
  cluster: string;
  host: string;
  home: string;
  /** The program and its arguments. */
  command: readonly string[];
  /** The environment that the agent needs beside systemd's own. */
  environment: Readonly<Record<string, string>>;
  /** Whom it runs as, a name or a number, or null: whoever the manager of the unit is. */
  user: string | null;
  logFile: string;
  /** With this exit status the agent was asked to end: no reason to start it again. */
  askedToEnd: number;
  /** A user's own manager has another target. */
  wantedBy: 'multi-user.target' | 'default.target';
}

export const unitName = ({ cluster, host }: { cluster: string; host: string }): string => `pgorbit-${cluster}-${host}.service`;

export function renderUnit(facts: UnitFacts): string {
  const { cluster, host, home, command, environment, user, logFile, askedToEnd, wantedBy } = facts;
  return `[Unit]
Description=pgorbit agent of host ${specifiers(host)} in cluster ${specifiers(cluster)}
Wants=network-online.target
After=network-online.target
RequiresMountsFor=${quoted(home)}
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${command.map(argument).join(' ')}
${Object.entries(environment).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}\n`).join('')}${user === null ? '' : `User=${user}\n`}WorkingDirectory=/
StandardOutput=append:${specifiers(logFile)}
StandardError=append:${specifiers(logFile)}
Restart=always
RestartSec=1
RestartPreventExitStatus=${askedToEnd}
SuccessExitStatus=${askedToEnd}
# PostgreSQL outlives its agent: only the agent itself is stopped with the unit.
KillMode=process
SendSIGKILL=no
TimeoutStopSec=60
# The agent makes a cgroup for each PostgreSQL.
Delegate=yes
LimitNOFILE=65536
TasksMax=infinity
# Under memory pressure the agent is not the first to go.
OOMScoreAdjust=-500

[Install]
WantedBy=${wantedBy}
`;
}

/** `%` begins a specifier in most values. */
const specifiers = (text: string): string => text.replaceAll('%', '%%');

/** In quotes where it has to be: systemd.syntax(7), "Quoting". */
function quoted(text: string): string {
  const escaped = specifiers(text);
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(escaped) ? escaped : `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** In ExecStart `$` begins a variable, too. */
const argument = (text: string): string => quoted(text).replaceAll('$', '$$$$');
