package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// table prints rows of cells under a title row, each column as wide as it must be.
type table struct {
	w    *tabwriter.Writer
	rows int
}

func newTable(w io.Writer, titles ...string) *table {
	t := &table{w: tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)}
	t.row(titles...)
	t.rows = 0
	return t
}

func (t *table) row(cells ...string) {
	t.rows++
	for i, cell := range cells {
		if cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// end prints the table; none is what it says without rows.
func (t *table) end(none string) error {
	if t.rows == 0 {
		fmt.Fprintln(t.w, none)
	}
	return t.w.Flush()
}

// gatewayTable has a row for each listener, those of ListenerSets at the end.
func gatewayTable(w io.Writer, objects []snapshot.Object) error {
	t := newTable(w, "NAMESPACE", "GATEWAY", "CLASS", "ADDRESSES", "LISTENER", "PORT", "PROTOCOL", "HOSTNAME", "ROUTES", "STATUS")
	for _, object := range objects {
		switch o := object.(type) {
		case *gatewayv1.Gateway:
			for _, l := range o.Spec.Listeners {
				routes, verdict := listenerFate(o, l.Name)
				t.row(o.Namespace, o.Name, string(o.Spec.GatewayClassName), addresses(o), string(l.Name), fmt.Sprint(l.Port),
					string(l.Protocol), hostname(l.Hostname), routes, verdict)
			}
		case *gatewayv1.ListenerSet:
			namespace := o.Namespace
			if o.Spec.ParentRef.Namespace != nil {
				namespace = string(*o.Spec.ParentRef.Namespace)
			}
			for _, l := range o.Spec.Listeners {
				routes, verdict := listenerFate(o, l.Name)
				t.row(namespace, string(o.Spec.ParentRef.Name), "", "", fmt.Sprintf("%s/%s/%s", o.Namespace, o.Name, l.Name), fmt.Sprint(l.Port),
					string(l.Protocol), hostname(l.Hostname), routes, verdict)
			}
		}
	}
	return t.end("no Gateways")
}

// listenerFate is how many routes are attached to a listener of a Gateway or
// ListenerSet, and what the conditions say of it.
func listenerFate(owner snapshot.Object, listener gatewayv1.SectionName) (routes, said string) {
	s := status.Of(owner)
	conditions := conditionsByPart(s)
	said = verdict(append(conditions["listener "+string(listener)], conditions[""]...), "Programmed")
	if s.ListenerSet != nil {
		for _, l := range s.ListenerSet.Listeners {
			if l.Name == listener {
				routes = fmt.Sprint(l.AttachedRoutes)
			}
		}
		return routes, said
	}
	for _, l := range s.Gateway.Listeners {
		if l.Name == listener {
			routes = fmt.Sprint(l.AttachedRoutes)
		}
	}
	return routes, said
}

func addresses(g *gatewayv1.Gateway) string {
	var all []string
	for _, a := range g.Status.Addresses {
		all = append(all, a.Value)
	}
	if len(all) == 0 {
		for _, a := range g.Spec.Addresses {
			all = append(all, a.Value)
		}
	}
	return strings.Join(all, ",")
}

func hostname(h *gatewayv1.Hostname) string {
	if h == nil || *h == "" {
		return "*"
	}
	return string(*h)
}

// routeTable has a row for each parent of each route.
func routeTable(w io.Writer, objects []snapshot.Object) error {
	t := newTable(w, "NAMESPACE", "KIND", "ROUTE", "HOSTNAMES", "RULES", "PARENT", "STATUS")
	for _, object := range objects {
		said := status.Of(object)
		hostnames, rules := routeSpec(object)
		row := func(parent, verdict string) {
			t.row(object.GetNamespace(), string(snapshot.KindOf(object)), object.GetName(), hostnames, rules, parent, verdict)
		}
		if said.Route == nil || len(said.Route.Parents) == 0 {
			row("", "no parent is ours")
			continue
		}
		for _, p := range said.Route.Parents {
			row(strings.TrimPrefix(control.ParentName(p.ParentRef), "Gateway "), verdict(p.Conditions, "Accepted"))
		}
	}
	return t.end("no routes")
}

func routeSpec(object snapshot.Object) (hostnames, rules string) {
	var names []string
	add := func(all []gatewayv1.Hostname, n int) (string, string) {
		for _, h := range all {
			names = append(names, string(h))
		}
		return cmp.Or(strings.Join(names, ","), "*"), fmt.Sprint(n)
	}
	switch r := object.(type) {
	case *gatewayv1.HTTPRoute:
		return add(r.Spec.Hostnames, len(r.Spec.Rules))
	case *gatewayv1.GRPCRoute:
		return add(r.Spec.Hostnames, len(r.Spec.Rules))
	case *gatewayv1.TLSRoute:
		return add(r.Spec.Hostnames, len(r.Spec.Rules))
	case *gatewayv1.TCPRoute:
		return "", fmt.Sprint(len(r.Spec.Rules))
	case *gatewayv1.UDPRoute:
		return "", fmt.Sprint(len(r.Spec.Rules))
	}
	return "", ""
}

// conditionsByPart groups conditions as control.Condition names their parts.
func conditionsByPart(s status.Status) map[string][]metav1.Condition {
	all := map[string][]metav1.Condition{}
	for c := range control.Conditions(s) {
		all[c.Part] = append(all[c.Part], c.Condition)
	}
	return all
}

// verdict is the first condition that is not fine, else that all is well in the
// word of the condition that says so.
func verdict(conditions []metav1.Condition, well string) string {
	waiting := ""
	for _, c := range conditions {
		switch {
		case (control.Condition{Condition: c}).Fine():
		case c.Status == metav1.ConditionUnknown:
			waiting = fmt.Sprintf("%s unknown (%s)", c.Type, c.Reason)
		default:
			return fmt.Sprintf("%s is %s (%s)", c.Type, c.Status, c.Reason)
		}
	}
	if len(conditions) == 0 {
		return "unknown"
	}
	return cmp.Or(waiting, well)
}

// backendTable has a row for each port of each Service, and for each Backend.
func backendTable(w io.Writer, objects []snapshot.Object) error {
	t := newTable(w, "NAMESPACE", "KIND", "BACKEND", "PORT", "PROTOCOL", "ENDPOINTS", "READY")
	for _, object := range objects {
		switch o := object.(type) {
		case *corev1.Service:
			for _, port := range o.Spec.Ports {
				total, ready := serviceEndpoints(objects, o, port)
				t.row(o.Namespace, "Service", o.Name, fmt.Sprint(port.Port), appProtocol(port), fmt.Sprint(total), fmt.Sprint(ready))
			}
		case *v1alpha1.Backend:
			n := fmt.Sprint(len(o.Spec.Endpoints))
			t.row(o.Namespace, "Backend", o.Name, "", "http", n, n)
		}
	}
	return t.end("no backends")
}

func appProtocol(port corev1.ServicePort) string {
	if port.AppProtocol == nil {
		return "http"
	}
	return *port.AppProtocol
}

// serviceEndpoints counts the endpoints of a Service's port in its EndpointSlices.
// One that stands in several places counts once, as for the data plane.
func serviceEndpoints(objects []snapshot.Object, service *corev1.Service, port corev1.ServicePort) (total, ready int) {
	known := map[string]bool{} // whether it is ready, by address and port
	for _, object := range objects {
		slice, ok := object.(*discoveryv1.EndpointSlice)
		if !ok || slice.Namespace != service.Namespace || slice.Labels[discoveryv1.LabelServiceName] != service.Name {
			continue
		}
		i := slices.IndexFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool {
			return p.Name == nil && port.Name == "" || p.Name != nil && *p.Name == port.Name
		})
		if i < 0 || slice.Ports[i].Port == nil {
			continue
		}
		for _, e := range slice.Endpoints {
			if len(e.Addresses) == 0 {
				continue
			}
			// Addresses after the first have no meaning.
			name := fmt.Sprintf("%s %d", e.Addresses[0], *slice.Ports[i].Port)
			// Not said is ready (EndpointConditions.ready).
			known[name] = known[name] || e.Conditions.Ready == nil || *e.Conditions.Ready
		}
	}
	for _, isReady := range known {
		if isReady {
			ready++
		}
	}
	return len(known), ready
}
