"""Pod Security Standards, profile `restricted`, as rules over a pod's spec; one function a control of the standard.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ has the wording of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

Spec: TypeAlias = dict[str, Any]
_VOLUMES: Final = {
    "name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"
}  # fmt: skip
_SYSCTLS: Final = {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"}


def containers(spec: Spec) -> Iterator[Spec]:
    """Yield containers of every kind."""
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key, [])


def _context(container: Spec) -> Spec:
    context: Spec = container.get("securityContext", {})
    return context


def _effective(spec: Spec, container: Spec, key: str) -> Any:
    """Return the container's own value, else the pod's."""
    return _context(container).get(key, spec.get("securityContext", {}).get(key))


def no_host_namespaces(spec: Spec) -> bool:
    return not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))


def no_host_ports(spec: Spec) -> bool:
    return not any(port.get("hostPort") for each in containers(spec) for port in each.get("ports", []))


def no_privileged_containers(spec: Spec) -> bool:
    return not any(_context(each).get("privileged") for each in containers(spec))


def no_privilege_escalation(spec: Spec) -> bool:
    return all(_context(each).get("allowPrivilegeEscalation") is False for each in containers(spec))


def all_capabilities_dropped(spec: Spec) -> bool:
    return all("ALL" in _context(each).get("capabilities", {}).get("drop", []) for each in containers(spec))


def no_capabilities_added(spec: Spec) -> bool:
    added = {name for each in containers(spec) for name in _context(each).get("capabilities", {}).get("add", [])}
    return added <= {"NET_BIND_SERVICE"}


def runs_as_non_root(spec: Spec) -> bool:
    return all(_effective(spec, each, "runAsNonRoot") is True for each in containers(spec))


def no_root_user(spec: Spec) -> bool:
    return all(_effective(spec, each, "runAsUser") != 0 for each in containers(spec))


def seccomp(spec: Spec) -> bool:
    profiles = [_effective(spec, each, "seccompProfile") or {} for each in containers(spec)]
    return all(each.get("type") in {"RuntimeDefault", "Localhost"} for each in profiles)


def volume_types(spec: Spec) -> bool:
    return all(each.keys() <= _VOLUMES for each in spec.get("volumes", []))


def sysctls(spec: Spec) -> bool:
    return {each["name"] for each in spec.get("securityContext", {}).get("sysctls", [])} <= _SYSCTLS


def no_host_probes(spec: Spec) -> bool:
    keys = ("startupProbe", "readinessProbe", "livenessProbe")
    actions = [action for each in containers(spec) for key in keys for action in each.get(key, {}).values()]
    return not any(isinstance(action, dict) and action.get("host") for action in actions)


RULES: Final[tuple[Callable[[Spec], bool], ...]] = (
    no_host_namespaces,
    no_host_ports,
    no_privileged_containers,
    no_privilege_escalation,
    all_capabilities_dropped,
    no_capabilities_added,
    runs_as_non_root,
    no_root_user,
    seccomp,
    volume_types,
    sysctls,
    no_host_probes,
)


def violations(spec: Spec) -> list[str]:
    """Return the names of the rules that a pod's spec breaks."""
    return [rule.__name__ for rule in RULES if not rule(spec)]
