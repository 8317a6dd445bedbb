package translate

import (
	"fmt"
	"slices"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// filters translates the filters of a rule or of a backendRef. A filter that
// cannot be served must not be skipped: the fault answers in its place.
func (t *ruleTranslator) filters(field string, filters []gatewayv1.HTTPRouteFilter, matches []gatewayv1.HTTPRouteMatch) (config.Filters, *config.Fault) {
	var next config.Filters
	var failed *config.Fault
	for i := range filters {
		f, filter := fmt.Sprintf("%s.filters[%d]", field, i), &filters[i]
		if t.repeated(f, filter.Type, filters[:i]) {
			continue
		}
		if !hasFilter(t.route.Kind, filter.Type) {
			t.unknown(f+".type", "filter", string(filter.Type))
			continue
		}
		switch filter.Type {
		case gatewayv1.HTTPRouteFilterRequestHeaderModifier:
			next.RequestHeaders = t.headerModifier(f+".requestHeaderModifier", filter.RequestHeaderModifier)
		case gatewayv1.HTTPRouteFilterResponseHeaderModifier:
			next.ResponseHeaders = t.headerModifier(f+".responseHeaderModifier", filter.ResponseHeaderModifier)
		case gatewayv1.HTTPRouteFilterRequestRedirect:
			next.Redirect = t.redirect(f+".requestRedirect", filter.RequestRedirect, matches)
		case gatewayv1.HTTPRouteFilterURLRewrite:
			next.Rewrite = t.rewrite(f+".urlRewrite", filter.URLRewrite, matches)
		case gatewayv1.HTTPRouteFilterRequestMirror:
			next.Mirrors = t.mirror(next.Mirrors, f+".requestMirror", filter.RequestMirror)
		case gatewayv1.HTTPRouteFilterCORS:
			next.CORS = cors(filter.CORS)
		case gatewayv1.HTTPRouteFilterExtensionRef:
			failed = t.extension(f+".extensionRef", filter.ExtensionRef)
		case gatewayv1.HTTPRouteFilterExternalAuth:
			t.externalAuth(f + ".type")
		default:
			t.unknown(f+".type", "filter", string(filter.Type))
		}
	}
	if next.Redirect != nil && next.Rewrite != nil {
		t.reject(gatewayv1.RouteReasonIncompatibleFilters, field+".filters", "RequestRedirect and URLRewrite cannot be combined", "remove one of them")
	}
	return next, failed
}

// repeated rejects a filter that may stand only once and is there already.
func (t *ruleTranslator) repeated(field string, filterType gatewayv1.HTTPRouteFilterType, before []gatewayv1.HTTPRouteFilter) bool {
	if filterType == gatewayv1.HTTPRouteFilterRequestMirror || filterType == gatewayv1.HTTPRouteFilterExtensionRef {
		return false
	}
	if !slices.ContainsFunc(before, func(f gatewayv1.HTTPRouteFilter) bool { return f.Type == filterType }) {
		return false
	}
	t.reject(gatewayv1.RouteReasonIncompatibleFilters, field, fmt.Sprintf("filter %s is repeated", filterType), "write one filter that does both")
	return true
}

func (t *ruleTranslator) headerModifier(field string, filter *gatewayv1.HTTPHeaderFilter) *config.HeaderModifier {
	if filter == nil {
		return nil
	}
	for i, h := range filter.Set {
		t.reviewHeader(fmt.Sprintf("%s.set[%d].name", field, i), string(h.Name))
	}
	for i, h := range filter.Add {
		t.reviewHeader(fmt.Sprintf("%s.add[%d].name", field, i), string(h.Name))
	}
	for i, name := range filter.Remove {
		t.reviewHeader(fmt.Sprintf("%s.remove[%d]", field, i), name)
	}
	return &config.HeaderModifier{Set: headers(filter.Set), Add: headers(filter.Add), Remove: filter.Remove}
}

// reviewHeader warns of fields that frame one message or concern one connection
// (RFC 9110, section 7.6.1): the data plane writes them as they must be.
func (t *ruleTranslator) reviewHeader(field, name string) {
	if config.IsConnectionField(name) {
		t.warn(field, name+" is a matter of each connection: the gateway writes it itself, and nothing changes it", "remove it")
	}
}

func headers(list []gatewayv1.HTTPHeader) []config.Header {
	var next []config.Header
	for _, h := range list {
		next = append(next, config.Header{Name: string(h.Name), Value: h.Value})
	}
	return next
}

// defaultRedirect is the status that the API sets where statusCode is not set.
const defaultRedirect = 302

func (t *ruleTranslator) redirect(field string, filter *gatewayv1.HTTPRequestRedirectFilter, matches []gatewayv1.HTTPRouteMatch) *config.Redirect {
	if filter == nil {
		return nil
	}
	next := &config.Redirect{
		Scheme:   deref(filter.Scheme),
		Hostname: string(deref(filter.Hostname)),
		Port:     uint16(deref(filter.Port)),
		Path:     t.pathModifier(field+".path", filter.Path, matches),
		Status:   defaultRedirect,
	}
	if *filter == (gatewayv1.HTTPRequestRedirectFilter{StatusCode: filter.StatusCode}) {
		t.warn(field, "the redirect changes nothing, so it leads back to the same URL", "set the scheme, hostname, port or path that it leads to")
	}
	if next.Scheme != "" && next.Scheme != "http" && next.Scheme != "https" {
		t.unknown(field+".scheme", "scheme", next.Scheme)
	}
	if filter.StatusCode != nil {
		next.Status = *filter.StatusCode
	}
	switch next.Status {
	case 301, 302, 303, 307, 308:
	default:
		t.reject(gatewayv1.RouteReasonUnsupportedValue, field+".statusCode", fmt.Sprintf("%d is no status of a redirect", next.Status), "write 301, 302, 303, 307 or 308")
	}
	return next
}

func (t *ruleTranslator) rewrite(field string, filter *gatewayv1.HTTPURLRewriteFilter, matches []gatewayv1.HTTPRouteMatch) *config.Rewrite {
	if filter == nil {
		return nil
	}
	return &config.Rewrite{
		Hostname: string(deref(filter.Hostname)),
		Path:     t.pathModifier(field+".path", filter.Path, matches),
	}
}

func (t *ruleTranslator) pathModifier(field string, modifier *gatewayv1.HTTPPathModifier, matches []gatewayv1.HTTPRouteMatch) *config.PathModifier {
	if modifier == nil {
		return nil
	}
	switch modifier.Type {
	case gatewayv1.FullPathHTTPPathModifier:
		return &config.PathModifier{Full: deref(modifier.ReplaceFullPath)}
	case gatewayv1.PrefixMatchHTTPPathModifier:
		if !allPrefixes(matches) {
			t.reject(gatewayv1.RouteReasonUnsupportedValue, field, "ReplacePrefixMatch needs a PathPrefix match", "match by PathPrefix, or use ReplaceFullPath")
		}
		return &config.PathModifier{Prefix: true, Replacement: deref(modifier.ReplacePrefixMatch)}
	}
	t.unknown(field+".type", "path modifier", string(modifier.Type))
	return nil
}

func allPrefixes(matches []gatewayv1.HTTPRouteMatch) bool {
	for _, m := range matches {
		if m.Path != nil && m.Path.Type != nil && *m.Path.Type != gatewayv1.PathMatchPathPrefix {
			return false
		}
	}
	return true
}

// mirror appends a mirror. One whose backend is wrong is dropped, as the API
// says; the condition tells.
func (t *ruleTranslator) mirror(mirrors []config.Mirror, field string, filter *gatewayv1.HTTPRequestMirrorFilter) []config.Mirror {
	if filter == nil {
		return mirrors
	}
	name, unresolved := t.resolve(field+".backendRef", filter.BackendRef)
	if unresolved != nil {
		t.unresolved = append(t.unresolved, *unresolved)
		return mirrors
	}
	t.backends = append(t.backends, name)
	next := config.Mirror{Backend: name.String(), Numerator: 1, Denominator: 1}
	switch {
	case filter.Percent != nil:
		next.Numerator, next.Denominator = *filter.Percent, 100
	case filter.Fraction != nil:
		next.Numerator, next.Denominator = filter.Fraction.Numerator, 100
		if filter.Fraction.Denominator != nil {
			next.Denominator = *filter.Fraction.Denominator
		}
	}
	return append(mirrors, next)
}

// defaultMaxAge is the Access-Control-Max-Age that the API sets where maxAge is not set.
const defaultMaxAge = 5 * time.Second

func cors(filter *gatewayv1.HTTPCORSFilter) *config.CORS {
	if filter == nil {
		return nil
	}
	next := &config.CORS{
		AllowOrigins:     texts(filter.AllowOrigins),
		AllowMethods:     texts(filter.AllowMethods),
		AllowHeaders:     texts(filter.AllowHeaders),
		ExposeHeaders:    texts(filter.ExposeHeaders),
		AllowCredentials: deref(filter.AllowCredentials),
		MaxAge:           defaultMaxAge,
	}
	if filter.MaxAge > 0 {
		next.MaxAge = time.Duration(filter.MaxAge) * time.Second
	}
	return next
}

func texts[T ~string](list []T) []string {
	var next []string
	for _, text := range list {
		next = append(next, string(text))
	}
	return next
}

func (t *ruleTranslator) extension(field string, ref *gatewayv1.LocalObjectReference) *config.Fault {
	if ref == nil {
		ref = &gatewayv1.LocalObjectReference{}
	}
	p := problem{
		reason:  string(gatewayv1.RouteReasonInvalidKind),
		field:   field,
		message: fmt.Sprintf("Sluice has no filter of kind %s", groupKind(ref.Group, ref.Kind)),
		fix:     "remove the filter; until then requests are answered with " + t.failure(),
	}
	t.unresolved = append(t.unresolved, p)
	return t.fault(p.message)
}

// externalAuth rejects the rule, and leaves a fault in its place: without the
// filter, requests must not get through (it "MUST fail closed").
func (t *ruleTranslator) externalAuth(field string) {
	const message = "filter ExternalAuth is valid; this version of Sluice does not serve it yet"
	t.reject(gatewayv1.RouteReasonUnsupportedValue, field, message, "remove the filter, or the rule; until then requests are answered with 500")
	t.guard = t.fault(message)
}

// fault is the answer that the API wants in place of what cannot be served; from
// GRPCRoutes that is UNAVAILABLE, which is 503 in HTTP.
func (t *ruleTranslator) fault(reason string) *config.Fault {
	if t.route.Kind == snapshot.KindGRPCRoute {
		return &config.Fault{Status: 503, Reason: reason}
	}
	return fault(reason)
}

func fault(reason string) *config.Fault { return &config.Fault{Status: 500, Reason: reason} }
