#!/usr/bin/env bash
# A real Slurm of two nodes on this machine, for tests and to try things out: no systemd, no cgroups, no database.
#
#   bash scripts/slurm.sh install           installs slurm-wlm and munge (Debian and Ubuntu, as root)
#   bash scripts/slurm.sh start DIR [PID]   starts it with all its files in DIR; prints `export SLURM_CONF=…`;
#                                           with PID, stops it when that process ends
#   bash scripts/slurm.sh stop DIR          ends its jobs and the daemons that `start` started, and no others
#
#   eval "$(bash scripts/slurm.sh start /tmp/slurm)" makes sbatch, srun and squeue of a shell speak to it.
#
# The nodes are called n1 and n2, names that do not resolve. Partitions: `low`, the default, whose jobs get SIGTERM and
# 15 seconds when a job of `high` wants their place. A requeued job starts again after 5 seconds, not after two minutes.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin

say() { printf 'slurm: %s\n' "$*" >&2; }
missing() {
    local program
    for program in munged slurmctld slurmd sbatch srun squeue scontrol scancel; do
        command -v "$program" >/dev/null || echo "$program"
    done
}

install() {
    [[ -n $(missing) ]] || return 0
    if ! command -v apt-get >/dev/null; then
        say "it is installed with apt-get, which this system does not have. Install Slurm and munge by hand."
        exit 1
    fi
    if [[ $(id -u) != 0 ]]; then
        say "installing needs root: sudo bash scripts/slurm.sh install"
        exit 1
    fi
    local log
    log=$(mktemp)
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        say "apt-get could not install slurm-wlm and munge; its last words are above, all of them in $log."
        exit 1
    fi
    rm -f "$log"
}

free_ports() { # as many as asked for, from a random place on: several of these clusters may run at once
    local wanted=$1 port=$((20000 + RANDOM % 9000))
    while ((wanted)); do
        ((port += 1))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            ((wanted -= 1))
        fi
    done
}

configure() {
    local host user cpus ports
    host=$(hostname -s) user=$(id -un)
    cpus=$((($(nproc) + 1) / 2))
    ((cpus >= 4)) || cpus=4 # config_overrides lets a node promise more than there is
    mapfile -t ports < <(free_ports 3)
    mkdir -p "$dir"/{state,log,n1,n2,munge}
    chmod 755 "$dir" "$dir/munge" && chmod 700 "$dir/state"
    (umask 077 && head -c 1024 /dev/urandom >"$dir/munge/key")
    cat >"$dir/slurm.conf" <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=10
MinJobAge=300
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=60
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=$cpus RealMemory=8000
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=$cpus RealMemory=8000
PartitionName=low  Nodes=n1,n2 Default=YES MaxTime=60 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=15
PartitionName=high Nodes=n1,n2 MaxTime=60 State=UP PriorityTier=10 PreemptMode=OFF
CONF
}

is_up() { [[ -s $1 ]] && kill -0 "$(<"$1")" 2>/dev/null; }

start() {
    if [[ -n $(missing) ]]; then
        say "not installed:" $(missing)". Run: bash scripts/slurm.sh install"
        exit 1
    fi
    if is_up "$dir/slurmctld.pid"; then
        say "it is up already. Run: export SLURM_CONF=$dir/slurm.conf, or: bash scripts/slurm.sh stop $dir"
        exit 1
    fi
    configure
    export SLURM_CONF=$dir/slurm.conf
    trap stop ERR
    munged --force --key-file "$dir/munge/key" --socket "$dir/munge/socket" --pid-file "$dir/munge/pid" \
        --log-file "$dir/munge/log" --seed-file "$dir/munge/seed" >&2
    slurmctld -c >>"$dir/log/start" 2>&1
    slurmd -N n1 >>"$dir/log/start" 2>&1
    slurmd -N n2 >>"$dir/log/start" 2>&1
    local tries
    for ((tries = 0; tries < 120; tries++)); do
        if [[ $(sinfo -h -N -t idle -p low -o %N 2>/dev/null | sort -u | wc -l) == 2 ]]; then
            [[ -z $owner ]] || stop_after "$owner"
            echo "export SLURM_CONF=$SLURM_CONF"
            return
        fi
        sleep 0.25
    done
    say "it did not come up within 30 s. The ends of its logs:"
    tail -n 5 "$dir"/log/* >&2
    stop
    exit 1
}

stop_after() { # in a session of its own: what ends a terminal's processes does not end it
    setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; exec bash "$2" stop "$3"' \
        - "$1" "$script" "$dir" </dev/null >/dev/null 2>&1 &
    echo $! >"$dir/guard.pid"
}

stop() {
    export SLURM_CONF=$dir/slurm.conf
    local file tries
    if is_up "$dir/slurmctld.pid"; then
        timeout 10 scancel --full --user "$(id -un)" 2>/dev/null || true
        for ((tries = 0; tries < 60; tries++)); do # KillWait, and a little
            [[ -n $(timeout 5 squeue -h 2>/dev/null) ]] || break
            sleep 0.25
        done
    fi
    for file in "$dir/guard.pid" "$dir"/slurmd-n1.pid "$dir"/slurmd-n2.pid "$dir/slurmctld.pid" "$dir/munge/pid"; do
        if is_up "$file" && [[ $(<"$file") != "$$" ]]; then
            end "$(<"$file")"
        fi
        rm -f "$file"
    done
}

end() { # a daemon; one that ended and was not yet collected by its parent counts as ended
    local tries
    kill "$1" 2>/dev/null || return 0
    for ((tries = 0; tries < 40; tries++)); do
        [[ -r /proc/$1/stat && $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) != Z* ]] || return 0
        sleep 0.1
    done
    kill -9 "$1" 2>/dev/null || true
}

if [[ ${1:-} == install ]]; then
    install
elif [[ ${1:-} =~ ^(start|stop)$ && -n ${2:-} ]]; then
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
    owner=${3:-}
    "$1"
else
    sed -n '2,12p' "$0" | cut -c 3- >&2
    exit 2
fi
