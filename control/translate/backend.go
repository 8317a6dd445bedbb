package translate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// backendKey names the work on a backend. The port is part of the name, for
// each port of a Service is a backend of its own.
func backendKey(n backendName) snapshot.Key {
	return snapshot.Key{Kind: "backend", Name: n.String()}
}

func (t *Translator) markBackend(n backendName) {
	key := backendKey(n)
	t.backends[key] = n
	if n.kind == snapshot.KindBackend {
		t.graph.mark(unit{stageBackendObject, snapshot.Key{Kind: n.kind, Namespace: n.namespace, Name: n.name}})
	}
	t.graph.mark(unit{stageBackend, key})
}

// translateBackends gathers the endpoints of the backends that routes use.
func (t *Translator) translateBackends() {
	for _, key := range t.graph.take(stageBackend) {
		n := t.backends[key]
		r := t.reader()
		var backend *config.Backend
		var found []diagnostic.Diagnostic
		if t.used[n] > 0 {
			backend, found = t.translateBackend(r, n)
		} else {
			delete(t.backends, key)
		}
		t.graph.record(unit{stageBackend, key}, r.read)
		t.putBackend(n.String(), backend)
		t.putDiagnostics(unit{stageBackend, key}, found)
	}
}

func (t *Translator) translateBackend(r *reader, n backendName) (*config.Backend, []diagnostic.Diagnostic) {
	if n.kind == snapshot.KindBackend {
		return translateBackendObject(r, n, t.options.Cluster != nil && !n.local), nil
	}
	backend, found := t.translateService(r, n)
	// An API server lets no EndpointSlice name an address of the proxy alone, but
	// cannot know what domain names lead to.
	backend.Restricted = t.options.Cluster != nil && slices.ContainsFunc(backend.Endpoints, func(e config.Endpoint) bool { return e.Host != "" })
	return backend, found
}

func (t *Translator) translateService(r *reader, n backendName) (*config.Backend, []diagnostic.Diagnostic) {
	next := &config.Backend{Name: n.String(), Protocol: config.AppHTTP}
	service := snapshot.Get[*corev1.Service](r, n.namespace, n.name)
	if service == nil {
		return next, nil
	}
	port := findPort(service, n.port)
	if port == nil {
		return next, nil
	}
	next.Protocol = appProtocol(port)
	secure(r, next, snapshot.KeyOf(service), port.Name)
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		next.Endpoints = []config.Endpoint{{Host: service.Spec.ExternalName, Port: uint16(n.port), Ready: true, Serving: true}}
		return next, nil
	}
	slices := gatherSlices(r, n)
	next.Endpoints = endpoints(slices, port.Name)
	if t.options.Cluster != nil && len(slices) == 0 && len(service.Spec.Selector) > 0 {
		return next, nil // Kubernetes makes a slice for the selector.
	}
	return next, reviewEndpoints(service, port, slices, next.Endpoints)
}

func gatherSlices(r *reader, n backendName) []*discoveryv1.EndpointSlice {
	return slices.Collect(snapshot.Each[*discoveryv1.EndpointSlice](r, snapshot.SlicesOf(n.namespace, n.name)))
}

// endpoints are those of a port by its name. An endpoint that stands in two
// slices, as it may while slices are rearranged, counts once.
func endpoints(all []*discoveryv1.EndpointSlice, port string) []config.Endpoint {
	var next []config.Endpoint
	for _, slice := range all {
		number := slicePort(slice, port)
		if number == 0 {
			continue
		}
		for i := range slice.Endpoints {
			if e, ok := endpoint(slice, &slice.Endpoints[i], number); ok {
				next = append(next, e)
			}
		}
	}
	slices.SortFunc(next, compareEndpoints)
	return slices.CompactFunc(next, sameEndpoint)
}

// slicePort is the number of the slice's port of that name, or 0.
func slicePort(slice *discoveryv1.EndpointSlice, name string) uint16 {
	for _, p := range slice.Ports {
		if deref(p.Name) == name && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP) {
			return uint16(deref(p.Port))
		}
	}
	return 0
}

func endpoint(slice *discoveryv1.EndpointSlice, e *discoveryv1.Endpoint, port uint16) (config.Endpoint, bool) {
	if len(e.Addresses) == 0 {
		return config.Endpoint{}, false
	}
	next := config.Endpoint{
		// What is not said counts as ready, serving and not terminating.
		Ready:       e.Conditions.Ready == nil || *e.Conditions.Ready,
		Serving:     e.Conditions.Serving == nil || *e.Conditions.Serving,
		Terminating: deref(e.Conditions.Terminating),
	}
	// The API gives no meaning to addresses after the first.
	first := e.Addresses[0]
	if slice.AddressType == discoveryv1.AddressTypeFQDN {
		next.Host, next.Port = first, port
		return next, true
	}
	ip, err := netip.ParseAddr(first)
	next.Address = netip.AddrPortFrom(ip, port)
	return next, err == nil
}

// compareEndpoints puts the readiest first among those of one address.
func compareEndpoints(a, b config.Endpoint) int {
	return cmp.Or(
		a.Address.Compare(b.Address),
		cmp.Compare(a.Host, b.Host),
		cmp.Compare(a.Port, b.Port),
		falseFirst(!a.Ready, !b.Ready),
		falseFirst(!a.Serving, !b.Serving),
	)
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func sameEndpoint(a, b config.Endpoint) bool {
	return a.Address == b.Address && a.Host == b.Host && a.Port == b.Port
}

// reviewEndpoints says why a Service that routes use has no endpoints.
func reviewEndpoints(service *corev1.Service, port *corev1.ServicePort, all []*discoveryv1.EndpointSlice, endpoints []config.Endpoint) []diagnostic.Diagnostic {
	p := problem{field: "spec.ports"}
	switch ready := slices.ContainsFunc(endpoints, func(e config.Endpoint) bool { return e.Ready }); {
	case ready:
		return nil
	case len(all) == 0 && len(service.Spec.Selector) > 0:
		p.field = "spec.selector"
		p.message = "the Service has a selector and no EndpointSlice: without a cluster nothing selects Pods, so requests are answered with 503"
		p.fix = "write an EndpointSlice with the label " + discoveryv1.LabelServiceName + ": " + service.Name
	case len(all) == 0:
		p.message = "the Service has no EndpointSlice, so requests are answered with 503"
		p.fix = "write an EndpointSlice with the label " + discoveryv1.LabelServiceName + ": " + service.Name
	case len(endpoints) == 0:
		p.message = fmt.Sprintf("no EndpointSlice of the Service has endpoints with the port %q, so requests to port %d are answered with 503", port.Name, port.Port)
		p.fix = "add endpoints, with a port of the same name as the Service's"
	default:
		p.message = fmt.Sprintf("no endpoint of port %d is ready", port.Port)
	}
	return []diagnostic.Diagnostic{p.finding(snapshot.KeyOf(service), diagnostic.Warning)}
}
