package translate

import (
	"fmt"
	"net/netip"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// translateBackendObject makes a backend of a Backend object. A restricted one
// reaches nothing that only the data plane can.
func translateBackendObject(r *reader, n backendName, restricted bool) *config.Backend {
	next := &config.Backend{Name: n.String(), Protocol: config.AppHTTP, Restricted: restricted}
	if object := snapshot.Get[*v1alpha1.Backend](r, n.namespace, n.name); object != nil {
		next.Endpoints, _ = objectEndpoints(object, restricted)
		secure(r, next, snapshot.KeyOf(object), "")
	}
	return next
}

// objectEndpoints are the endpoints of a Backend, and what is wrong with others.
func objectEndpoints(object *v1alpha1.Backend, restricted bool) ([]config.Endpoint, []problem) {
	var next []config.Endpoint
	var problems []problem
	for i, e := range object.Spec.Endpoints {
		endpoint := config.Endpoint{Ready: true, Serving: true}
		switch {
		case e.IP != nil:
			ip, err := netip.ParseAddr(e.IP.Address)
			if err != nil {
				problems = append(problems, problem{
					reason:  "Invalid",
					field:   fmt.Sprintf("spec.endpoints[%d].ip.address", i),
					message: fmt.Sprintf("%q is no IP address", e.IP.Address),
					fix:     "write an address such as 192.0.2.1 or 2001:db8::1, or use fqdn",
				})
				continue
			}
			endpoint.Address = netip.AddrPortFrom(ip, uint16(e.IP.Port))
		case e.FQDN != nil:
			endpoint.Host, endpoint.Port = e.FQDN.Hostname, uint16(e.FQDN.Port)
		case e.Unix != nil:
			endpoint.Unix = e.Unix.Path
		}
		if kind := localKind(endpoint); restricted && kind != "" {
			problems = append(problems, problem{
				reason:  v1alpha1.BackendReasonLocalEndpoint,
				field:   fmt.Sprintf("spec.endpoints[%d]", i),
				message: kind + ", which only the proxy itself reaches, without allowLocalBackends in the GatewayParameters of the GatewayClass",
				fix:     "name an address that other Pods reach too, or have who owns the GatewayClass set allowLocalBackends",
			})
			continue
		}
		next = append(next, endpoint)
	}
	return next, problems
}

// localKind says what the endpoint is that only the data plane reaches; it is empty
// for others. Whether a name or an address leads to the data plane itself, or to
// its node, that finds out.
func localKind(e config.Endpoint) string {
	switch ip := e.Address.Addr().Unmap(); {
	case e.Unix != "":
		return "a Unix socket"
	case ip.IsLoopback():
		return "a loopback address"
	case ip.IsLinkLocalUnicast():
		return "a link-local address"
	case ip.IsUnspecified():
		return "an unspecified address"
	case ip.IsMulticast():
		return "a multicast address"
	}
	return ""
}

// restricts reports whether the Backend object may not name what only the data
// plane reaches, as far as routes use it.
func (t *Translator) restricts(key snapshot.Key) bool {
	n := backendName{kind: key.Kind, namespace: key.Namespace, name: key.Name}
	local := n
	local.local = true
	return t.options.Cluster != nil && (t.used[n] > 0 || t.used[local] == 0)
}

// settleBackends says of each Backend object whether it is accepted.
func (t *Translator) settleBackends() {
	for _, key := range t.graph.take(stageBackendObject) {
		var s status.Status
		var found []diagnostic.Diagnostic
		if object := snapshot.Get[*v1alpha1.Backend](t.snapshot, key.Namespace, key.Name); object != nil {
			endpoints, problems := objectEndpoints(object, t.restricts(key))
			s.Backend = backendStatus(object, problems)
			found = findings(key, problems)
			if len(endpoints) == 0 {
				found = append(found, problem{
					field:   "spec.endpoints",
					message: "the Backend has no endpoints, so requests to it are answered with 503",
					fix:     "add an endpoint",
				}.finding(key, diagnostic.Warning))
			}
		}
		t.putStatus(key, s)
		t.putDiagnostics(unit{stageBackendObject, key}, found)
	}
}

func backendStatus(object *v1alpha1.Backend, problems []problem) *v1alpha1.BackendStatus {
	accepted := status.True(v1alpha1.BackendConditionAccepted, "Accepted", "the Backend is valid")
	if len(problems) > 0 {
		accepted = failed(v1alpha1.BackendConditionAccepted, problems)
	}
	return &v1alpha1.BackendStatus{Conditions: status.Observed(object.Generation, accepted)}
}
