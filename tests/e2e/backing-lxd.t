#!/bin/bash
# Backings made from images of LXD's, with Debian's LXD: as it keeps them, whole or in two parts; what is refused.
# shellcheck disable=SC2154
# shellcheck source=tests/e2e/backing.sh
. "$(dirname "$0")/backing.sh"
command -v mksquashfs >/dev/null || bail_out "there is no mksquashfs: tests/run --packages"
# shellcheck source=tests/e2e/lxd-lib.sh
. "$checkout/tests/e2e/lxd-lib.sh"
trap 'worker_end 2>/dev/null; lxd_end; rm -rf "$scratch"' EXIT

metadata() { printf 'architecture: x86_64\ncreation_date: 1\nproperties: {description: %s}\n' "$1" >"$scratch/metadata.yaml"; }
# image ALIAS PART…: imports it; its fingerprint is in $fingerprint.
image() {
	lxc image delete "$1" >/dev/null 2>&1
	lxc image import "${@:2}" --alias "$1" >"$scratch/import" 2>&1 || diag "$(cat "$scratch/import")"
	fingerprint=$(lxc image list --format csv -c F "$1")
}
configure <<-CONF
	[$BYOCI_NAMESPACE]
	lxd.socket = $LXD_DIR/unix.socket
	[backing/image]
	source = lxd
	lxd.image = whole/one
	setup.command = echo made >/made
	smoke.command = cat /etc/passwd /made
CONF
make image
is "$status" 75 "without LXD there is none"
like "$said" 'image whole/one: LXD: there is no .*is LXD installed and running' "and why is told"
is "$(unfinished)" "" "nothing is left"
# A certificate that LXD believes, for the image server.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
	-keyout "$scratch/server.key" -out "$scratch/server.crt" 2>/dev/null
cat "$scratch/server.crt" "$scratch/server.key" >"$scratch/server.pem"
export SSL_CERT_FILE=$scratch/server.crt
ok "LXD starts" lxd_start || bail_out "$(tail -n 5 "$lxd_log" "$scratch/lxd.out")"
make image
like "$said" '\[backing/image\] lxd.image = whole/one: LXD at .* has no such image: import it, or set lxd.server' "an image that is not there"

metadata whole
tar -C "$scratch" --owner=0 --group=0 --numeric-owner --transform 's,^tree,rootfs,' -czf "$scratch/whole.tar.gz" metadata.yaml tree
image whole/one "$scratch/whole.tar.gz"
make image
is "$status" 0 "an image of one part" || diag "$said"
like "$said" '^made$' "is set up, and tried"
ok "and is a root file system" [ -x "$backings/$digest/rootfs/bin/sh" ]
ok "of nothing else" [ ! -e "$backings/$digest/metadata.yaml" ] && ok "(nor is the image kept twice)" [ ! -e "$backings/$digest/image" ]
make image -O backing/image:lxd.fingerprint="$fingerprint"
is "$status" 0 "by its fingerprint, too" || diag "$said"
make image -O backing/image:lxd.fingerprint="$(printf '%064d' 0)"
ok "another than that is not there" [ "$status" -ne 0 ]

metadata squash
tar -C "$scratch" -cf "$scratch/metadata.tar" metadata.yaml
mksquashfs "$scratch/tree" "$scratch/root.squashfs" -all-root -quiet -no-progress >/dev/null
image two "$scratch/metadata.tar" "$scratch/root.squashfs"
make image -O backing/image:lxd.image=two
is "$status" 0 "an image of two parts, as image servers have them" || diag "$said"
is "$(cat "$backings/$digest/rootfs/etc/passwd") $(stat -c %u "$backings/$digest/rootfs/etc")" "root:x:0:0::/root:/bin/sh 0" "is a root file system"
chmod 4755 "$scratch/tree/bin/cat"
mksquashfs "$scratch/tree" "$scratch/suid.squashfs" -all-root -quiet -no-progress >/dev/null
image suid "$scratch/metadata.tar" "$scratch/suid.squashfs"
make image -O backing/image:lxd.image=suid
like "$said" 'member /bin/cat: runs with its owner.s rights' "a setuid program in it is refused"
make image -O backing/image:lxd.image=suid -O backing/image:tarball.setuid=yes
is "$status" 0 "unless it is allowed" || diag "$said"
chmod 755 "$scratch/tree/bin/cat"
mknod "$scratch/tree/disk" b 7 0
mksquashfs "$scratch/tree" "$scratch/device.squashfs" -all-root -quiet -no-progress >/dev/null
rm "$scratch/tree/disk"
image device "$scratch/metadata.tar" "$scratch/device.squashfs"
make image -O backing/image:lxd.image=device
like "$said" 'member /disk: a device' "so is a device"
is "$(unfinished)" "" "nothing is left of what was refused"

# The alias turns to another image.
make image
before=$(generation image)
echo other >"$scratch/tree/etc/other"
metadata other
tar -C "$scratch" --owner=0 --group=0 --numeric-owner --transform 's,^tree,rootfs,' -czf "$scratch/other.tar.gz" metadata.yaml tree
image whole/one "$scratch/other.tar.gz"
refresh image
is "$status $(cat "$backings/$digest/rootfs/etc/other")" "0 other" "made anew it is what the alias now means" || diag "$said"
ok "another generation" [ "$(generation image)" != "$before" ]
clean "nothing else is left"

# From an image server, which LXD fetches it from: simplestreams over https, where LXD is.
make image -O backing/image:lxd.image=remote/one -O backing/image:lxd.server=https://127.0.0.1:1
is "$status" 75 "an image server that does not answer is trouble"
like "$said" 'image remote/one: LXD at .*' "and who says so is told"
mkdir -p "$scratch/server/streams/v1" "$scratch/server/images"
metadata remote
tar -C "$scratch" -cJf "$scratch/server/images/lxd.tar.xz" metadata.yaml
echo remote >"$scratch/tree/etc/other"
mksquashfs "$scratch/tree" "$scratch/server/images/root.squashfs" -all-root -quiet -no-progress >/dev/null
part() { printf '"ftype":"%s","path":"images/%s","size":%s,"sha256":"%s"' "$1" "$2" "$(stat -c %s "$scratch/server/images/$2")" "$(sha256_of "$scratch/server/images/$2")"; }
combined=$(cat "$scratch/server/images/lxd.tar.xz" "$scratch/server/images/root.squashfs" | sha256sum | cut -d' ' -f1)
cat >"$scratch/server/streams/v1/index.json" <<-JSON
	{"format":"index:1.0","index":{"images":{"datatype":"image-downloads","path":"streams/v1/images.json","format":"products:1.0","products":["one"]}}}
JSON
cat >"$scratch/server/streams/v1/images.json" <<-JSON
	{"content_id":"images","datatype":"image-downloads","format":"products:1.0","products":{"one":{"aliases":"remote/one","arch":"amd64",
	"os":"Test","release":"one","release_title":"one","variant":"default","versions":{"20260101_00:00":{"items":{
	"lxd.tar.xz":{$(part lxd.tar.xz lxd.tar.xz),"combined_squashfs_sha256":"$combined","combined_sha256":"$combined"},
	"root.squashfs":{$(part squashfs root.squashfs)}}}}}}}
JSON
nsenter -t "$lxd_pid" -n python3 -c 'import http.server, os, ssl, sys
os.chdir(sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8941), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("serving", flush=True); server.serve_forever()' "$scratch/server" "$scratch/server.pem" >"$scratch/serving" 2>"$scratch/requests" &
server=$!
ok "an image server" until_true grep -q serving "$scratch/serving" || diag "$(cat "$scratch/requests")"
remote=(-O backing/image:lxd.image=remote/one -O backing/image:lxd.server=https://127.0.0.1:8941)
make image "${remote[@]}"
is "$status" 0 "an image that LXD fetches" || diag "$said
$(cat "$scratch/requests")"
is "$(cat "$backings/$digest/rootfs/etc/other")" remote "is what the server has"
make image "${remote[@]}" -O backing/image:lxd.fingerprint="$combined"
is "$status" 0 "by its fingerprint, too" || diag "$said"
kill "$server"
wait "$server" 2>/dev/null
clean "nothing is left of that"
done_testing
