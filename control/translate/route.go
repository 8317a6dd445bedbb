package translate

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/status"
)

// route is the translation of one route.
type route struct {
	key snapshot.Key
	// config is nil if nothing of the route is served.
	config *config.Route
	status status.Status
	found  []diagnostic.Diagnostic
	// attached are the listeners that count the route, by the definition of
	// status.listeners[].attachedRoutes.
	attached []attachedListener
	// claims are the listeners that take the route, if no route of another kind
	// keeps it from them.
	claims []*routeClaim
	// backends are those that the rules send requests to.
	backends []backendName
	// grants are the ReferenceGrants that the route leans on.
	grants []snapshot.Key
}

type attachedListener struct {
	owner snapshot.Key
	name  string
}

// translateRoutes translates the routes that something changed for, and those
// whose lot as rivals this has changed. What they claim it does not change.
func (t *Translator) translateRoutes() {
	t.translateMarkedRoutes()
	t.resolveRivals()
	t.translateMarkedRoutes()
}

func (t *Translator) translateMarkedRoutes() {
	for _, key := range t.graph.take(stageRoute) {
		r := t.reader()
		next := translateRoute(r, t.options, t.rivals, key)
		t.graph.record(unit{stageRoute, key}, r.read)
		t.replaceRoute(key, next)
		// Routes are many, and the data plane shares the processors.
		runtime.Gosched()
	}
}

// replaceRoute keeps the new translation, counts what it uses and dirties what
// that decides.
func (t *Translator) replaceRoute(key snapshot.Key, next *route) {
	before := t.routes[key]
	if before == nil {
		before = &route{}
	}
	if next == nil {
		delete(t.routes, key)
		next = &route{}
	} else {
		t.routes[key] = next
	}
	t.putRoute(routeName(key), next.config)
	t.putStatus(key, next.status)
	t.putDiagnostics(unit{stageRoute, key}, next.found)
	t.countAttached(before.attached, next.attached)
	t.replaceClaims(before, next)
	t.used.replace(before.backends, next.backends, t.markBackend)
	t.granted.replace(before.grants, next.grants, t.markGrant)
	t.countLeads(before, next)
}

func (t *Translator) countAttached(before, after []attachedListener) {
	if slices.Equal(before, after) {
		return
	}
	for _, l := range before {
		if t.attached[l.name]--; t.attached[l.name] == 0 {
			delete(t.attached, l.name)
		}
		t.work.unsettled[l.owner] = struct{}{}
	}
	for _, l := range after {
		t.attached[l.name]++
		t.work.unsettled[l.owner] = struct{}{}
	}
}

func routeName(key snapshot.Key) string {
	return fmt.Sprintf("%s/%s/%s", strings.ToLower(string(key.Kind)), key.Namespace, key.Name)
}

// routeSource is what routes of all kinds have.
type routeSource struct {
	object    snapshot.Object
	parents   gatewayv1.CommonRouteSpec
	hostnames []gatewayv1.Hostname
	// rules has a translator translate the rules.
	rules func(*ruleTranslator)
}

// readRoute is nil if there is no such route.
func readRoute(r *reader, key snapshot.Key) *routeSource {
	switch o := r.Object(key).(type) {
	case *gatewayv1.HTTPRoute:
		return &routeSource{o, o.Spec.CommonRouteSpec, o.Spec.Hostnames, func(t *ruleTranslator) { t.httpRules(o.Spec.Rules) }}
	case *gatewayv1.GRPCRoute:
		return &routeSource{o, o.Spec.CommonRouteSpec, o.Spec.Hostnames, func(t *ruleTranslator) { t.grpcRules(o.Spec.Rules) }}
	}
	return nil
}

// translateRoute is nil if there is no such route.
func translateRoute(r *reader, options Options, rivals map[string]*rivals, key snapshot.Key) *route {
	source := readRoute(r, key)
	if source == nil {
		return nil
	}
	rules := &ruleTranslator{r: r, options: options, route: key, matched: map[string]string{}}
	rules.local = options.Cluster != nil && localBackends(r, source)
	source.rules(rules)

	parents := &parentTranslator{r: r, options: options, rivals: rivals, key: key, source: source, rules: rules}
	parents.translate()

	next := &route{
		key:      key,
		attached: parents.attached, claims: parents.claims, found: parents.found, grants: rules.grants,
	}
	if parents.ours || len(source.parents.ParentRefs) == 0 {
		next.found = slices.Concat(parents.found, findings(key, rules.invalid), findings(key, rules.unresolved), rules.review)
	}
	if len(parents.statuses) > 0 {
		next.status.Route = &gatewayv1.RouteStatus{Parents: parents.statuses}
	}
	if len(parents.attachments) > 0 {
		next.backends = rules.backends
		next.config = &config.Route{
			Name:        routeName(key),
			Created:     source.object.GetCreationTimestamp().Time,
			GRPC:        key.Kind == snapshot.KindGRPCRoute,
			Attachments: parents.attachments,
			Rules:       rules.rules,
		}
	}
	next.found = append(next.found, reviewRoute(source, next, parents)...)
	return next
}

// localBackends reports whether all parents of ours let Backend objects name what
// only the data plane can reach.
func localBackends(r *reader, source *routeSource) bool {
	allowed := false
	for _, ref := range source.parents.ParentRefs {
		parent, ok := parentKey(source.object, ref)
		if !ok {
			continue
		}
		if seen := r.binding(parent); seen != nil {
			if !seen.LocalBackends {
				return false
			}
			allowed = true
		}
	}
	return allowed
}

// reviewRoute is what a reviewer would ask about the route as a whole.
func reviewRoute(source *routeSource, translated *route, parents *parentTranslator) []diagnostic.Diagnostic {
	var found []diagnostic.Diagnostic
	warn := func(field, message, fix string) {
		found = append(found, problem{field: field, message: message, fix: fix}.finding(translated.key, diagnostic.Warning))
	}
	if len(source.parents.ParentRefs) == 0 {
		warn("spec.parentRefs", "the route names no parent, so it is not served", "name a Gateway in parentRefs")
	}
	if len(parents.attached) > 0 && len(parents.attachments) == 0 {
		warn("spec.parentRefs", "the route is attached only to listeners that are not served", "see the conditions of their Gateway or ListenerSet")
	}
	if scope := source.parents.UseDefaultGateways; scope != "" && scope != gatewayv1.GatewayDefaultScopeNone {
		warn("spec.useDefaultGateways", "default Gateways are valid; this version of Sluice does not serve that yet", "name a Gateway in parentRefs")
	}
	return found
}
