# shellcheck shell=bash disable=SC2034,SC2154
# An LXD of the test's own, Debian's package, started by hand as on a machine without systemd: LXD_DIR in the test's folder, a pool of
# kind dir, no network but lo, mounts that nobody else sees. To be read after worker.sh.
export LXD_DIR=$scratch/lxd
lxd_pid=
lxd_holder=
lxd_log=$scratch/lxd.log
for lxd_program in lxd lxc; do
	command -v "$lxd_program" >/dev/null || bail_out "there is no $lxd_program: tests/run --packages"
done

# Ids for its instances: newuidmap, which LXD's liblxc calls, looks for them there.
lxd_ids="root:$ids_first:$((5 * 65536))"
lxd_ids_add() {
	local file
	for file in /etc/subuid /etc/subgid; do echo "$lxd_ids" >>"$file"; done
}
lxd_ids_remove() {
	local file
	for file in /etc/subuid /etc/subgid; do place_line_remove "$file" "$lxd_ids" 2>/dev/null; done
}

lxd_answers() { lxd waitready --timeout 1 >/dev/null 2>&1; }
# Its name spaces outlive it, so that it finds its containers again.
lxd_spaces() {
	setsid unshare --mount --net --propagation private sh -c 'ip link set lo up; exec sleep infinity' >/dev/null 2>&1 </dev/null &
	lxd_holder=$!
	disown
	until_true grep -qx sleep "/proc/$lxd_holder/comm"
}
lxd_daemon() {
	[ -n "$lxd_holder" ] || lxd_spaces
	setsid nsenter --target "$lxd_holder" --mount --net lxd --group root --logfile "$lxd_log" >>"$scratch/lxd.out" 2>&1 </dev/null &
	lxd_pid=$!
	disown
	until_true lxd_answers
}
# Instances run on; LXD is started anew afterwards.
lxd_kill() {
	kill "-${1:-KILL}" "$lxd_pid" 2>/dev/null
	until_true not kill -0 "$lxd_pid"
	lxd_pid=
}
lxd_start() {
	mkdir -p "$LXD_DIR"
	lxd_ids_add
	lxd_daemon || return
	lxd init --preseed <<-YAML
		storage_pools: [{name: default, driver: dir}]
	YAML
}
lxd_instances() { lxc list --format csv -c n 2>/dev/null; }
lxd_end() {
	local name
	[ -n "$lxd_pid" ] || lxd_daemon
	for name in $(lxd_instances); do lxc delete -f "$name"; done
	lxd_kill KILL
	kill "$lxd_holder"
	lxd_ids_remove
	rm -rf --one-file-system "$LXD_DIR"
} >/dev/null 2>&1
trap 'worker_kill 2>/dev/null; units_end; lxd_end; rm -rf "$scratch"' EXIT
