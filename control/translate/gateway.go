package translate

import (
	"fmt"
	"net/netip"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// gateway is what a Gateway of ours asks for, before other Gateways have their say.
type gateway struct {
	key    snapshot.Key
	object *gatewayv1.Gateway
	// addresses to bind; none if it binds all, or if none can be had.
	addresses []netip.Addr
	bindsAll  bool
	// invalid is why nothing of the Gateway can be served.
	invalid []problem
	// unassigned is which addresses cannot be had.
	unassigned []problem
	listeners  []listener
	tls        gatewayTLS
	policies   clientPolicies
	parameters v1alpha1.GatewayParametersSpec
	review     []diagnostic.Diagnostic
}

// translateGateways reads each Gateway by itself.
func (t *Translator) translateGateways() {
	for _, key := range t.graph.take(stageGateway) {
		u := unit{stageGateway, key}
		r := t.reader()
		next, found := t.readGateway(r, key)
		t.graph.record(u, r.read)
		t.replaceGateway(key, next)
		if next == nil {
			t.putStatus(key, status.Status{})
			t.putDiagnostics(u, found)
		}
	}
}

// replaceGateway keeps the new reading and says what depends on it.
func (t *Translator) replaceGateway(key snapshot.Key, next *gateway) {
	before := t.gateways[key]
	t.indexListeners(key, key, before.all(), false)
	t.indexListeners(key, key, next.all(), true)
	t.indexSockets(key, before.all(), -1)
	t.indexSockets(key, next.all(), 1)
	if next == nil {
		delete(t.gateways, key)
	} else {
		t.gateways[key] = next
		t.work.unsettled[key] = struct{}{}
	}
	t.granted.replace(before.grants(), next.grants(), t.markGrant)
	t.publishTerms(key, next)
	t.work.unlisted[key] = struct{}{}
	if t.options.Cluster != nil {
		t.graph.mark(unit{stageService, key})
	}
}

func (g *gateway) all() []listener {
	if g == nil {
		return nil
	}
	return g.listeners
}

// grants are the ReferenceGrants that the Gateway and its listeners lean on.
func (g *gateway) grants() []snapshot.Key {
	if g == nil {
		return nil
	}
	return append(grantsOf(g.listeners), g.tls.grants...)
}

// readGateway is nil if there is no such Gateway, or if it is not ours.
func (t *Translator) readGateway(r *reader, key snapshot.Key) (*gateway, []diagnostic.Diagnostic) {
	object := snapshot.Get[*gatewayv1.Gateway](r, key.Namespace, key.Name)
	if object == nil {
		return nil, nil
	}
	class := snapshot.Get[*gatewayv1.GatewayClass](r, "", string(object.Spec.GatewayClassName))
	if class == nil || class.Spec.ControllerName != t.options.ControllerName {
		return nil, []diagnostic.Diagnostic{notOurs(key, object, class)}
	}
	g := &gateway{key: key, object: object}
	g.checkClass(r, class)
	g.readParameters(r, class)
	if t.shared() {
		g.checkAddresses()
	} else {
		g.readAddresses()
	}
	g.checkAllowedListeners()
	g.tls = readGatewayTLS(r, key, object.Spec.TLS)
	g.policies = readClientPolicies(r, key)
	g.readListeners(r)
	g.reviewSpec()
	return g, nil
}

func (g *gateway) readListeners(r *reader) {
	prefix := fmt.Sprintf("%s/%s", g.key.Namespace, g.key.Name)
	for i := range g.object.Spec.Listeners {
		spec := &g.object.Spec.Listeners[i]
		l := readListener(r, g.key, prefix, i, spec)
		l.takeGatewayTLS(&g.tls)
		l.policies, l.mayHTTP3 = g.policies.of(spec.Name, nil), true
		g.listeners = append(g.listeners, l)
	}
}

func notOurs(key snapshot.Key, object *gatewayv1.Gateway, class *gatewayv1.GatewayClass) diagnostic.Diagnostic {
	if class == nil {
		return problem{
			field:   "spec.gatewayClassName",
			message: fmt.Sprintf("GatewayClass %s does not exist, so no controller serves this Gateway", object.Spec.GatewayClassName),
			fix:     "write the name of an existing GatewayClass, or create it",
		}.finding(key, diagnostic.Warning)
	}
	return problem{
		field:   "spec.gatewayClassName",
		message: fmt.Sprintf("GatewayClass %s belongs to controller %s; Sluice leaves this Gateway alone", class.Name, class.Spec.ControllerName),
	}.finding(key, diagnostic.Info)
}

func (g *gateway) checkClass(r *reader, class *gatewayv1.GatewayClass) {
	if _, problems := classParameters(r, class); len(problems) > 0 {
		g.invalid = append(g.invalid, problem{
			reason:  string(gatewayv1.GatewayReasonInvalidParameters),
			field:   "spec.gatewayClassName",
			message: fmt.Sprintf("GatewayClass %s is not accepted: %s", class.Name, messages(problems)),
			fix:     "mend the GatewayClass",
		})
	}
}

// bindable reports whether there is anything to bind. A Gateway that names
// addresses, and none that can be had, must not listen on all.
func (g *gateway) bindable() bool {
	return len(g.invalid) == 0 && (g.bindsAll || len(g.addresses) > 0)
}

// reviewSpec names what is risky, and the fields that are valid and that this
// version ignores.
func (g *gateway) reviewSpec() {
	spec := &g.object.Spec
	ignored := func(field, message string) {
		g.review = append(g.review, problem{field: field, message: message + "; this version of Sluice does not serve that yet"}.finding(g.key, diagnostic.Warning))
	}
	if g.tls.insecure() {
		g.review = append(g.review, problem{field: "spec.tls.frontend", message: insecureClients, fix: "use mode AllowValidOnly where clients have certificates"}.finding(g.key, diagnostic.Warning))
	}
	if spec.DefaultScope != "" && spec.DefaultScope != gatewayv1.GatewayDefaultScopeNone {
		ignored("spec.defaultScope", "default Gateways are valid")
	}
}
