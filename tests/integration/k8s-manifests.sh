#!/bin/bash
# The manifests of examples/kubernetes: each is YAML with the fields of its kind, and
# what they say of rswap-memserver is true: options, paths, times, pages, memory.
# So is what the overlays make of them.  Where kubectl is at hand, it puts the overlays
# together, and reads the DaemonSet with Kubernetes' own types.  No cluster is needed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
build=${RSWAP_BUILD:-$src/build}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
examples=$src/examples/kubernetes

/usr/bin/python3 -c 'import jsonpatch, jsonschema, yaml' 2>/dev/null || {
	echo "python3-jsonpatch, python3-jsonschema or python3-yaml is not installed"
	exit 77
}

manifests() {
	/usr/bin/python3 "$here/k8s-manifests.py" "$@"
}

"$build/memserver/rswap-memserver" --help >"$dir/help"
mapfile -t files < <(find "$examples" -name '*.yaml')
manifests check "$src" "$dir/help" "${files[@]}"

# The overlays, each on the base.
overlays=()
for file in "$examples"/*/kustomization.yaml; do
	overlays+=("$(basename "$(dirname "$file")")")
done
for overlay in "${overlays[@]}"; do
	manifests overlay "$examples/$overlay" >"$dir/$overlay.yaml"
	manifests check "$src" "$dir/help" "$dir/$overlay.yaml"
done

# has OVERLAY TEXT: the overlay is what its name says
has() {
	grep -qF -e "$2" "$dir/$1.yaml" || {
		echo "the overlay $1 has no $2"
		exit 1
	}
}
for overlay in pool pool-zones pool-rack; do
	has $overlay --pool=etcd://
	has $overlay --pool-ca=/run/
	has $overlay --pool-login=/run/
done
has pool-zones '--zone=$(ZONE)'
has pool-rack --zone=rack-7
has pool-rack "topology.kubernetes.io/zone: rack-7"
has rack --zone=rack-7

# The command of docs/kubernetes.md which makes the Secret of a pool has all that the
# init container copies, and the one before it what there is without a pool.
for overlay in base pool; do
	words=$(manifests secret "$dir/$overlay.yaml" | sed 's/^/--from-file=/' | xargs)
	grep -qx "    kubectl -n rswap create secret generic rswap-keys $words" "$src/docs/kubernetes.md" || {
		echo "docs/kubernetes.md makes no Secret with $words"
		exit 1
	}
done

# What a kustomization and a Containerfile name is there.
for file in "$examples"/*/kustomization.yaml; do
	sed -n '/^resources:/,/^[^ ]/s/^  - //p' "$file" | while read -r name; do
		[ -e "$(dirname "$file")/$name" ] || {
			echo "$file: there is no $name"
			exit 1
		}
	done
done
for package in $(grep '^COPY' "$examples/Containerfile" | grep -oE '[a-z-]+_' | tr -d _); do
	grep -qx "Package: $package" "$src/debian/control" || {
		echo "Containerfile: there is no package $package"
		exit 1
	}
done
# and the unit that swaps starts before the one whose configuration is there
grep -q '^Before=.*\<kubelet\.service\>' "$src/systemd/rswap@.service.in" || {
	echo "rswap@.service is not before kubelet.service"
	exit 1
}

# kubectl has no --offline: what would ask a cluster fails.
if ! command -v kubectl >/dev/null; then
	echo "without kubectl: types are not checked"
	exit 0
fi
export KUBECONFIG=/dev/null
for overlay in "${overlays[@]}"; do
	kubectl kustomize "$examples/$overlay" >"$dir/$overlay.yaml"
	manifests check "$src" "$dir/help" "$dir/$overlay.yaml"
	manifests daemonset "$dir/$overlay.yaml" >"$dir/daemonset.json"
	kubectl set env --local --filename="$dir/daemonset.json" RSWAP_TEST=1 \
		--output=json >"$dir/typed.json"
	manifests same "$dir/$overlay.yaml" "$dir/typed.json"
done
