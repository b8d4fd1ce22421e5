import { hostPaths } from "@stackctl/protocol";

/**
 * The agent's systemd unit. Hardened lightly: it mounts, renames the host and runs dpkg, so most of systemd's sandbox
 * cannot hold for it; each changing command gets a transient unit of its own.
 */
export function agentUnitFile(): string {
  return `# Managed by stackctl.
[Unit]
Description=stackctl agent
Documentation=file:${hostPaths.current}
After=network.target dbus.service
Wants=network.target
StartLimitIntervalSec=0

[Service]
# Node's libatomic.so.1 is pushed with it; bare Debian has none.
Environment=LD_LIBRARY_PATH=${hostPaths.current}
# Pieces of images that pass through it are mapped (mallopt(3)), and so given back: in malloc's heap they stay, 50 MiB of them.
Environment=MALLOC_MMAP_THRESHOLD_=65536
# The agent rests nearly always: no threads for garbage or compiling, and a small heap, keep it below 80 MiB.
ExecStart=${hostPaths.current}/node --max-semi-space-size=1 --max-old-space-size=96 --single-threaded-gc --v8-pool-size=0 ${hostPaths.current}/agent.cjs run
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=10
OOMScoreAdjust=-500
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native
ProtectClock=yes

[Install]
WantedBy=multi-user.target
`;
}
