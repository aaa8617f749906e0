"""Checks manifests of Kubernetes: k8s-manifests.sh and k8s-pod.sh run this.

    k8s-manifests.py check SRC HELP FILE...
        Each document of the files has the fields of k8s-schema.json and no others,
        and what a DaemonSet says of rswap-memserver agrees with rswap-memserver
        --help (in the file HELP) and with the units of SRC.
    k8s-manifests.py same FILE TYPED
        Each field of the DaemonSet in FILE is in the JSON file TYPED as well: what
        a program made that knows the types drops the fields that it does not know.
    k8s-manifests.py overlay DIRECTORY
        What a kustomization there makes: its resources, with its patches.
    k8s-manifests.py secret FILE
        The files of the Secret that the init container copies, a line each.
    k8s-manifests.py daemonset FILE
        The DaemonSet alone, as JSON.
    k8s-manifests.py pod FILE CONTAINER run|capabilities|probe
        What a container starts, a word a line; what it may do; the probe's address.
"""
import json
import os
import re
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
SUFFIXES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
faults = []


def fault(where, text):
    faults.append(f"{where}: {text}")


class Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would take the last."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key} twice,{node.start_mark}")
        return super().construct_mapping(node, deep)


def documents(path):
    with open(path, encoding="utf-8") as file:
        return list(yaml.load_all(file, Loader))


def read(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as file:
        return file.read()


def size(text):
    """Bytes of rswap's 64G or Kubernetes' 64Gi."""
    number, suffix = re.fullmatch(r"([0-9]+)([KMGT]?)i?", text).groups()
    return int(number) * SUFFIXES[suffix]


def setting(unit, key):
    return re.findall(rf"^{key}=(.*)$", unit, re.M)[-1]


def options_of(container):
    return dict(word[2:].partition("=")[::2] for word in container["args"])


# --- the schema ---

def check_schema(where, document):
    import jsonschema

    schema = json.loads(read(HERE, "k8s-schema.json"))
    jsonschema.Draft7Validator.check_schema(schema)
    for error in jsonschema.Draft7Validator(schema).iter_errors(document):
        path = ".".join(str(part) for part in error.absolute_path)
        fault(where, f"{path or 'document'}: {error.message[:300]}")


# --- what a memory server is told ---

def check_options(where, container, help_text):
    known = dict(re.findall(r"^ *--([a-z][a-z-]*)(=?)", help_text, re.M))
    for word in container["args"]:
        name, equals, value = re.fullmatch(r"--([^=]*)(=?)(.*)", word).groups()
        if name not in known:
            fault(where, f"{word}: rswap-memserver has no such option")
        elif known[name] != equals or bool(equals) != bool(value):
            fault(where, f"{word}: with or without a value?")
        for variable in re.findall(r"\$\(([^)]*)\)", value):
            if variable not in [env["name"] for env in container["env"]]:
                fault(where, f"{word}: {variable} is not in env")


def check_paths(where, pod, container, options, unit):
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {m["mountPath"]: volumes.get(m["name"]) for c in
              pod["initContainers"] + pod["containers"] for m in c["volumeMounts"]}
    for path, volume in mounts.items():
        if not volume:
            fault(where, f"{path}: no such volume")
    copied = [word for word in pod["initContainers"][0]["command"]
              if word.startswith("/")]
    files = [options[key] for key in ("psk-file", "tenants", "control", "pool-ca",
                                      "pool-cert", "pool-key", "pool-login")
             if key in options]
    for path in files + copied:
        if os.path.dirname(path) not in mounts:
            fault(where, f"{path} is in no volume")
    # Secrets are root's, and the server takes only what is its user's.
    names = [os.path.basename(path) for path in copied[:-1]]
    for path in files:
        if path.startswith(os.path.dirname(copied[-1]) + "/") and \
                os.path.basename(path) not in names:
            fault(where, f"{path}: the init container does not copy it")
    wanted = setting(unit, "ExecStart").partition("--control=%t/")[2].split()[0]
    if options["control"] != f"/run/{wanted}":
        fault(where, f"--control: rswapctl looks at /run/{wanted}")
    keys = os.path.basename(setting(unit, "ExecStartPre").split()[1])
    if os.path.basename(options["psk-file"]) != keys:
        fault(where, f"--psk-file: the unit's file is {keys}")


def check_memory(where, container, options):
    memory, limits = size(options["memory"]), container["resources"]["limits"]
    limit = size(limits["memory"])
    # rswap-memserver(8), MEMORY LIMITS
    if limit - limit // 64 - size("8M") < memory:
        fault(where, f"a limit of {limits['memory']} has no room for "
              f"--memory={options['memory']}")
    if container["resources"]["requests"]["memory"] != limits["memory"]:
        fault(where, "requests and limits of memory differ")
    if "cpu" in limits:
        fault(where, "a limit of cpu makes all pages wait")


def check_times(where, pod, container, unit):
    def probe(name):
        p = container[name]
        return p["periodSeconds"] * p.get("failureThreshold", 3)

    for what, seconds, key in (
            ("terminationGracePeriodSeconds",
             pod["terminationGracePeriodSeconds"], "TimeoutStopSec"),
            ("startupProbe", probe("startupProbe"), "TimeoutStartSec"),
            ("livenessProbe", probe("livenessProbe"), "WatchdogSec")):
        if str(seconds) != setting(unit, key):
            fault(where, f"{what}: {seconds} s, the unit has {key}="
                  f"{setting(unit, key)}")


def check_probes(where, container, options, src):
    pages = re.findall(r'\.path = "([^"]*)"', read(src, "memserver/server/web.c"))
    host, _, port = options["metrics"].rpartition(":")
    ports = [p["containerPort"] for p in container["ports"]]
    if int(port) not in ports:
        fault(where, f"--metrics: port {port} is not in ports")
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        http = container[name]["httpGet"]
        if (http["host"], http["port"]) != (host, int(port)):
            fault(where, f"{name}: --metrics is {options['metrics']}")
        if http["path"] not in pages:
            fault(where, f"{name}: no page {http['path']}, but {pages}")


def check_privileges(where, pod, container, options, src):
    image = read(src, "examples/kubernetes/Containerfile")
    uid, gid, user = re.search(r"useradd --uid (\d+) --gid (\d+) .*?(\w+)\s+ENTRY",
                               image.replace("\\\n", ""), re.S).groups()
    init = pod["initContainers"][0]["securityContext"]
    if (init["runAsUser"], init["runAsGroup"], pod["securityContext"]["fsGroup"]) \
            != (int(uid), int(gid), int(gid)) or options["user"] != user:
        fault(where, f"the user of the image is {user}, {uid}:{gid}")
    # memserver/privileges.c: the limit of locked memory and the OOM score; --user
    added = container["securityContext"]["capabilities"].get("add", [])
    if sorted(added) != ["SETGID", "SETUID", "SYS_RESOURCE"]:
        fault(where, f"capabilities {added}")
    if "add" in init["capabilities"]:
        fault(where, "the init container needs no capability")
    if not pod["hostNetwork"] or pod["priorityClassName"] != "system-node-critical":
        fault(where, "hostNetwork or the priority class is missing")


def check_daemonset(where, document, src, help_text):
    spec = document["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    options = options_of(container)
    unit = read(src, "systemd/rswap-memserver.service.in")
    labels = spec["template"]["metadata"]["labels"]
    if spec["selector"]["matchLabels"] != labels:
        fault(where, "the selector has other labels than the template")
    if spec["updateStrategy"]["type"] != "OnDelete":
        fault(where, "updateStrategy: a restart by itself loses pages")
    version = re.search(r"\((.*)\)", read(src, "debian/changelog")).group(1)
    for part in pod["initContainers"] + pod["containers"]:
        if not part["image"].endswith(f"/rswap-memserver:{version}"):
            fault(where, f"image {part['image']}: the version is {version}")
    check_options(where, container, help_text)
    for name in ("memory", "psk-file", "tenants", "control", "metrics", "user"):
        if not options.get(name):
            fault(where, f"--{name} is missing")
            return
    check_paths(where, pod, container, options, unit)
    check_memory(where, container, options)
    check_times(where, pod, container, unit)
    check_probes(where, container, options, src)
    check_privileges(where, pod, container, options, src)


def check(src, help_path, *paths):
    kinds = set()
    for path in paths:
        try:
            read_well = documents(path)
        except yaml.YAMLError as error:
            fault(os.path.relpath(path, src), " ".join(str(error).split()))
            continue
        for document in read_well:
            kind = document.get("kind")
            where = f"{os.path.relpath(path, src)}, {kind}"
            kinds.add(kind)
            before = len(faults)
            check_schema(where, document)
            if len(faults) == before and kind == "DaemonSet":
                check_daemonset(where, document, src, read(help_path))
    if "DaemonSet" not in kinds:
        fault("manifests", f"no DaemonSet in {len(paths)} files")


# --- overlays ---

def overlaid(directory):
    """As kubectl kustomize: what our overlays use of it."""
    import jsonpatch

    kustomization = documents(os.path.join(directory, "kustomization.yaml"))[0]
    made = []
    for name in kustomization["resources"]:
        path = os.path.join(directory, name)
        made += overlaid(path) if os.path.isdir(path) else documents(path)
    for patch in kustomization.get("patches", []):
        target = patch["target"]
        meant = [i for i, document in enumerate(made)
                 if document["kind"] == target["kind"] and
                 document["metadata"]["name"] == target["name"]]
        if not meant:
            fault(directory, f"no {target['kind']} {target['name']}")
        for i in meant:
            made[i] = jsonpatch.apply_patch(made[i], yaml.load(patch["patch"],
                                                               Loader))
    return made


def overlay(directory):
    print(yaml.safe_dump_all(overlaid(directory)))


# --- the same, read by a program that knows the types ---

def missing(ours, theirs, path):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours:
            if key in theirs:
                missing(ours[key], theirs[key], f"{path}.{key}")
            else:
                fault(path, f"no field {key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        for i, pair in enumerate(zip(ours, theirs)):
            missing(*pair, f"{path}[{i}]")
    elif str(ours) != str(theirs):
        fault(path, f"{ours} is read as {theirs}")


def daemonset(path):
    return [d for d in documents(path) if d["kind"] == "DaemonSet"][0]


def same(path, typed):
    missing(daemonset(path), json.loads(read(typed)), "DaemonSet")


def tell_daemonset(path):
    print(json.dumps(daemonset(path)))


def tell_secret(path):
    command = daemonset(path)["spec"]["template"]["spec"]["initContainers"][0]["command"]
    for word in command:
        if word.startswith("/run/rswap-secret/"):
            print(os.path.basename(word))


def tell_pod(path, name, what):
    pod = daemonset(path)["spec"]["template"]["spec"]
    container = [c for c in pod["initContainers"] + pod["containers"]
                 if c["name"] == name][0]
    if what == "run":
        words = container["command"] + container.get("args", [])
    elif what == "capabilities":
        words = container["securityContext"]["capabilities"].get("add", [])
    else:
        http = container["livenessProbe"]["httpGet"]
        words = [f"http://{http['host']}:{http['port']}{http['path']}"]
    print("\n".join(words))


COMMANDS = {"check": check, "same": same, "overlay": overlay,
            "daemonset": tell_daemonset, "pod": tell_pod, "secret": tell_secret}
COMMANDS[sys.argv[1]](*sys.argv[2:])
if faults:
    print("\n".join(faults))
    sys.exit(1)
