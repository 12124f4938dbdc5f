#!/usr/bin/env bash
# Provisions a container by the playbook of vagrant/ansible, as Vagrant does a virtual machine,
# and uses it by the scripts of vagrant/bin: starts the calculator, clicks, measures, upgrades the
# driver, reboots, and stops it all. What has to be so in between is in guest.sh.
#
# The container is a Debian of its own with systemd as its first process, and without a network
# but its loopback. Root runs it; "make vm-test" sees to the rest.
#
#   e2e/vm/run.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
die() {
  printf 'vm-test: %s\n' "$*" >&2
  exit 1
}

[[ $EUID -eq 0 ]] || die "a container with systemd wants root, and this is $(id -un); run make vm-test with sudo"

dir=$(mktemp -d "${TMPDIR:-/tmp}/nomad-driver-connect-vm.XXXXXX")
guest_root=$dir/root
machine=${dir##*/}
group=$machine # its cgroup: Nomad makes others below, which must not meet another Nomad's
nspawn='' init=''

# hierarchies: the mount points of cgroups, one with v2 and several with v1.
hierarchies() {
  if [[ -e /sys/fs/cgroup/cgroup.procs ]]; then echo /sys/fs/cgroup; else dirname /sys/fs/cgroup/*/cgroup.procs; fi
}

# enter_group: takes this process there, in every hierarchy.
enter_group() {
  local hierarchy file
  for hierarchy in $(hierarchies); do
    mkdir -p "$hierarchy/$group"
    for file in cpuset.cpus cpuset.mems; do # v1 wants them set first
      [[ ! -e $hierarchy/$file ]] || cat "$hierarchy/$file" >"$hierarchy/$group/$file"
    done
    echo "$BASHPID" >"$hierarchy/$group/cgroup.procs"
  done
}

remove_group() {
  local hierarchy
  for hierarchy in $(hierarchies); do
    [[ ! -d $hierarchy/$group ]] || find "$hierarchy/$group" -depth -type d -exec rmdir {} +
  done
}

# within SECONDS WHAT COMMAND…: waits for the command to succeed.
within() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS < deadline)) || die "$what"
    sleep 0.2
  done
}

# guest SECONDS COMMAND…: runs it in the container.
guest() {
  local seconds=$1
  shift
  timeout --foreground --kill-after 5 "$seconds" nsenter --all --target "$init" \
    env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# step SECONDS WHAT COMMAND…: a command in the container that has to succeed; quiet when it does.
step() {
  local seconds=$1 what=$2
  shift 2
  guest "$seconds" "$@" </dev/null >"$dir/step.log" 2>&1 & # a signal does not have to wait for it
  wait $! || {
    local status=$?
    cat "$dir/step.log" >&2
    ((status != 124)) || die "$what: not done within $seconds s; what was said until then is above"
    die "$what: status $status; what was said is above"
  }
  say "$what"
}

# has_init: finds the container's first process. Before it is that, nspawn has other children.
has_init() {
  init=$(ps -o pid=,comm= --ppid "$nspawn" | awk '$2 == "systemd" || $2 == "init" { print $1 }') && [[ $init =~ ^[0-9]+$ ]]
}

is_up() { has_init && [[ $(guest 5 systemctl is-system-running 2>/dev/null) =~ ^(running|degraded)$ ]]; }
has_ended() { ! kill -0 "$1" 2>/dev/null; }

boot() {
  # With v1 hierarchies here the container gets v1, too; it would mount v2 by itself.
  local unified=1
  [[ -e /sys/fs/cgroup/cgroup.procs ]] || unified=0
  (
    enter_group
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=$unified exec systemd-nspawn --quiet --directory "$guest_root" --register=no --keep-unit \
      --machine="$machine" --private-network --hostname=demo --bind-ro="$root/vagrant:/vagrant" --boot
  ) </dev/null >>"$dir/console.log" 2>&1 &
  nspawn=$!
  within 60 'systemd does not come up in the container; its console is below' is_up
}

reboot() {
  local status=0
  guest 10 systemctl reboot >/dev/null 2>&1 || true # the answer may be lost on the way
  within 120 'the container does not go down for a reboot' has_ended "$nspawn"
  wait "$nspawn" || status=$?
  ((status == 133)) || die "the container should reboot, which systemd-nspawn tells by status 133, and not $status"
  boot
}

end_container() {
  if [[ -n $nspawn ]] && ! has_ended "$nspawn"; then
    kill "$nspawn" # it shuts the container down
    (within 60 'the container does not shut down; it is killed' has_ended "$nspawn") || kill -KILL "$nspawn" ${init:+"$init"}
    wait "$nspawn" || true
  fi
}

show_logs() {
  local unit
  [[ -n $nspawn ]] || return 0
  printf '\n==> console\n'
  tail -n 20 "$dir/console.log"
  [[ -n $init ]] || return 0
  for unit in consul nomad-server nomad-client; do
    printf '\n==> %s\n' "$unit"
    guest 20 journalctl --no-pager --unit "$unit" --lines 40 --output cat || true
  done
}

finish() {
  local status=$?
  trap - EXIT
  ((status == 0)) || show_logs >&2
  end_container || true
  remove_group || say "the cgroup $group could not be removed"
  # systemd-nspawn leaves the first.
  rm -rf --one-file-system "/run/systemd/nspawn/propagate/$machine" "$dir" || say "$dir could not be removed"
  exit "$status"
}

# provision WHAT WANTED: runs the playbook; its summary has to say that.
provision() {
  local what=$1 wanted=$2
  step 600 "$what" ansible-playbook --inventory localhost, --connection local /vagrant/ansible/playbook.yml
  grep -qE "$wanted" "$dir/step.log" || { cat "$dir/step.log" >&2; die "$what: its summary, above, should have $wanted"; }
}

# prepare: copies the image.
prepare() {
  local image
  image=$(timeout --foreground 900 "$here/image.sh") || die 'there is no Debian to boot; the reason is above'
  cp -a --reflink=auto "$image" "$guest_root"
  install -m 0755 "$here/guest.sh" "$guest_root/usr/local/bin/guest.sh"
  [[ ! -e /sys/fs/cgroup/cgroup.procs ]] || return 0
  # systemd-nspawn gives v1 hierarchies to read only, and Nomad makes cgroups. A virtual machine
  # has v2 and nothing of this.
  mkdir -p "$guest_root/etc/systemd/system/nomad-client.service.d"
  cat >"$guest_root/etc/systemd/system/nomad-client.service.d/cgroups.conf" <<'UNIT'
[Service]
ExecStartPre=/bin/sh -c 'for hierarchy in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$$hierarchy"; done'
UNIT
}

# upgrade_driver: what "make dist" and "vagrant provision" do with a new driver. A byte behind
# its end makes it another one.
upgrade_driver() {
  local dist=/vagrant/dist/bin/nomad-driver-connect envoys
  envoys=$(guest 20 guest.sh envoys)
  guest 20 bash -c "cp $dist /var/tmp/driver && printf x >>/var/tmp/driver && mount --bind /var/tmp/driver $dist"
  provision 'a new driver is installed, and the client and the hook restarted for it' 'changed=3 '
  step 150 'Nomad has its tasks in hand again' guest.sh in_hand
  step 150 'the calculator runs as before' guest.sh healthy
  [[ $(guest 20 guest.sh envoys) == "$envoys" ]] || die 'the upgrade of the driver has restarted Envoys; they should have been found again'
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
prepare
say 'a Debian is at hand'
boot
say 'its systemd is up'
step 120 'Ansible is installed' /vagrant/ansible/install.sh
provision 'the playbook has run' 'failed=0 '
provision 'the playbook has run again, and changed nothing' 'changed=0 .*failed=0 '
step 150 'bootstrap.sh' /vagrant/bin/bootstrap.sh
step 240 'start_all_jobs.sh' /vagrant/bin/start_all_jobs.sh
step 150 'jobs, sidecars and registrations are as they should be' guest.sh healthy
step 60 'click.sh' /vagrant/bin/click.sh
step 120 'benchmark.sh' /vagrant/bin/benchmark.sh -z 1s -r 1 -o /tmp/latency.svg
sed 's/^/        /' "$dir/step.log"
upgrade_driver
reboot
say 'the container is up again after a reboot'
step 150 'jobs, sidecars and registrations are as they should be' guest.sh healthy
step 60 'click.sh' /vagrant/bin/click.sh
step 120 'stop_all_jobs.sh' /vagrant/bin/stop_all_jobs.sh
step 120 'nothing is left of the jobs' guest.sh clean
