// Package attach decides which route binds to which listener and which
// reference is granted, and says the reason when not. It is pure.
package attach

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// Parent is what routes see of a Gateway, or of a ListenerSet.
type Parent struct {
	// Kind is Gateway or ListenerSet.
	Kind            snapshot.Kind
	Namespace, Name string
	Listeners       []Listener
	// Refused says why the parent itself is not taken and so has no listeners;
	// it is empty if it is.
	Refused string
	// LocalBackends says that Backend objects may name what only the data plane
	// can reach.
	LocalBackends bool
}

// Listener is what routes see of a listener.
type Listener struct {
	// Name is the listener's name in its parent, and Configured the one in the
	// configuration.
	Name       gatewayv1.SectionName
	Configured string
	Port       gatewayv1.PortNumber
	// Hostname is in lower case; empty for any.
	Hostname string
	// Kinds are the kinds of routes that may attach: what the listener allows
	// and Sluice serves.
	Kinds []gatewayv1.Kind
	// From says from which namespaces routes may attach.
	From gatewayv1.FromNamespaces
	// Selector selects namespaces if From is Selector. A nil selector selects none.
	Selector labels.Selector
	// Served says that the listener is part of the configuration: it is
	// accepted, has what it needs, and is not in conflict with another.
	Served bool
}

// Route is what listeners see of a route.
type Route struct {
	Kind      gatewayv1.Kind
	Namespace string
	// Hostnames are in lower case; none for any.
	Hostnames []string
}

// Binding is how a route and one of its parents came together.
type Binding struct {
	// Attachments are the listeners that accept the route. If there is none,
	// Reason and Message say why.
	Attachments []Attachment
	Reason      gatewayv1.RouteConditionReason
	Message     string
}

// Attachment is one listener that accepts a route.
type Attachment struct {
	Listener *Listener
	// Hostnames are those that the listener and the route share; [""] for any.
	Hostnames []string
}

// Bind attaches a route to those listeners of the parent that the reference
// selects and that allow it. namespaceLabels returns the labels of the route's
// namespace; it is called only where a selector needs them.
func Bind(route Route, ref gatewayv1.ParentReference, parent *Parent, namespaceLabels func() labels.Set) Binding {
	selected := selectListeners(ref, parent)
	if len(selected) == 0 {
		return Binding{Reason: gatewayv1.RouteReasonNoMatchingParent, Message: noMatchingParent(ref, parent)}
	}
	var allowed []*Listener
	var refusals []string
	for _, listener := range selected {
		if refusal := refuse(route, listener, parent.Namespace, namespaceLabels); refusal != "" {
			refusals = append(refusals, fmt.Sprintf("listener %s %s", listener.Name, refusal))
		} else {
			allowed = append(allowed, listener)
		}
	}
	if len(allowed) == 0 {
		return Binding{Reason: gatewayv1.RouteReasonNotAllowedByListeners, Message: strings.Join(refusals, "; ")}
	}
	return matchHostnames(route, allowed)
}

// selectListeners obeys parentRefs[].sectionName and .port: a listener must
// match each that is set.
func selectListeners(ref gatewayv1.ParentReference, parent *Parent) []*Listener {
	var selected []*Listener
	for i := range parent.Listeners {
		listener := &parent.Listeners[i]
		if ref.SectionName != nil && *ref.SectionName != "" && *ref.SectionName != listener.Name {
			continue
		}
		if ref.Port != nil && *ref.Port != listener.Port {
			continue
		}
		selected = append(selected, listener)
	}
	return selected
}

func noMatchingParent(ref gatewayv1.ParentReference, parent *Parent) string {
	if parent.Refused != "" {
		return fmt.Sprintf("%s %s/%s is not accepted: %s", parent.Kind, parent.Namespace, parent.Name, parent.Refused)
	}
	var want []string
	if ref.SectionName != nil && *ref.SectionName != "" {
		want = append(want, fmt.Sprintf("named %q", *ref.SectionName))
	}
	if ref.Port != nil {
		want = append(want, fmt.Sprintf("on port %d", *ref.Port))
	}
	var have []string
	for _, l := range parent.Listeners {
		have = append(have, fmt.Sprintf("%s (port %d)", l.Name, l.Port))
	}
	return fmt.Sprintf("%s %s/%s has no listener %s; it has %s",
		parent.Kind, parent.Namespace, parent.Name, strings.Join(want, " and "), strings.Join(have, ", "))
}

// refuse says why the listener's allowedRoutes keep the route out; it is empty
// if they do not.
func refuse(route Route, listener *Listener, parentNamespace string, namespaceLabels func() labels.Set) string {
	if !slices.Contains(listener.Kinds, route.Kind) {
		return fmt.Sprintf("takes no %ss", route.Kind)
	}
	switch listener.From {
	case gatewayv1.NamespacesFromAll:
		return ""
	case gatewayv1.NamespacesFromSame:
		if route.Namespace != parentNamespace {
			return fmt.Sprintf("takes routes from namespace %s only", parentNamespace)
		}
		return ""
	case gatewayv1.NamespacesFromSelector:
		if listener.Selector == nil {
			return "has no valid namespace selector"
		}
		if listener.Selector.Matches(namespaceLabels()) {
			return ""
		}
		return fmt.Sprintf("takes routes from namespaces with %s only, which %s is not", listener.Selector, route.Namespace)
	default:
		return "takes routes from no namespace"
	}
}

func matchHostnames(route Route, allowed []*Listener) Binding {
	var binding Binding
	for _, listener := range allowed {
		if shared := Hostnames(listener.Hostname, route.Hostnames); len(shared) > 0 {
			binding.Attachments = append(binding.Attachments, Attachment{Listener: listener, Hostnames: shared})
		}
	}
	if len(binding.Attachments) == 0 {
		var have []string
		for _, listener := range allowed {
			have = append(have, fmt.Sprintf("%s (listener %s)", listener.Hostname, listener.Name))
		}
		binding.Reason = gatewayv1.RouteReasonNoMatchingListenerHostname
		binding.Message = fmt.Sprintf("none of the hostnames %s is within %s", strings.Join(route.Hostnames, ", "), strings.Join(have, ", "))
	}
	return binding
}
