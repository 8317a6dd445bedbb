package translate

import (
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/status"
)

// readAddresses obeys spec.addresses: IP addresses are bound as they are. Where
// none is named, or one has no value, Sluice chooses, which is to bind all.
func (g *gateway) readAddresses() {
	g.bindsAll = len(g.object.Spec.Addresses) == 0
	for i, address := range g.object.Spec.Addresses {
		field := fmt.Sprintf("spec.addresses[%d]", i)
		ip, err := netip.ParseAddr(address.Value)
		switch {
		case address.Type != nil && *address.Type != gatewayv1.IPAddressType:
			g.invalid = append(g.invalid, problem{
				reason:  string(gatewayv1.GatewayReasonUnsupportedAddress),
				field:   field + ".type",
				message: fmt.Sprintf("addresses of type %s cannot be bound", *address.Type),
				fix:     "write type IPAddress with an address of this host, or remove addresses to listen on all",
			})
		case address.Value == "":
			g.bindsAll = true
		case err != nil:
			g.unassigned = append(g.unassigned, problem{
				reason:  string(gatewayv1.GatewayReasonAddressNotUsable),
				field:   field + ".value",
				message: fmt.Sprintf("%q is no IP address", address.Value),
				fix:     "write an address such as 192.0.2.1 or 2001:db8::1",
			})
		default:
			g.addresses = append(g.addresses, ip)
		}
	}
	if g.bindsAll {
		g.addresses = nil
	}
}

// checkAddresses is readAddresses where a Service has the addresses: replicas
// listen on all of theirs.
func (g *gateway) checkAddresses() {
	g.bindsAll = true
	for i, address := range g.object.Spec.Addresses {
		switch t := deref(address.Type); t {
		case "", gatewayv1.IPAddressType, gatewayv1.HostnameAddressType:
		default:
			g.invalid = append(g.invalid, problem{
				reason:  string(gatewayv1.GatewayReasonUnsupportedAddress),
				field:   fmt.Sprintf("spec.addresses[%d].type", i),
				message: fmt.Sprintf("no Service has addresses of type %s", t),
				fix:     "write type IPAddress or Hostname, or remove addresses to be given one",
			})
		}
	}
}

// addresses are where clients reach the Gateway.
func (t *Translator) addresses(g *gateway) []gatewayv1.GatewayStatusAddress {
	switch {
	case t.shared():
		return provision.Addresses(t.places[g.key].service, t.replicas)
	case t.options.Cluster != nil && len(g.addresses) == 0:
		return provision.HostAddresses(t.replicas)
	}
	bound := g.addresses
	if len(bound) == 0 {
		bound = t.options.HostAddresses
	}
	kind := gatewayv1.IPAddressType
	var all []gatewayv1.GatewayStatusAddress
	for _, ip := range bound {
		all = append(all, gatewayv1.GatewayStatusAddress{Type: &kind, Value: ip.String()})
	}
	return all
}

const noPort = "all ports that replicas keep for Gateways are taken; remove listeners or Gateways"

// unreachable is why clients cannot reach the Gateway at the addresses that it
// asks for, or at any. It is nil if they can.
func (t *Translator) unreachable(g *gateway) *metav1.Condition {
	const programmed = gatewayv1.GatewayConditionProgrammed
	if len(g.unassigned) > 0 {
		return new(failed(programmed, g.unassigned))
	}
	if !t.shared() {
		return nil
	}
	assigned := t.addresses(g)
	p := t.places[g.key]
	for i, want := range g.object.Spec.Addresses {
		if want.Value == "" || hasAddress(assigned, want) {
			continue
		}
		message := fmt.Sprintf("addresses[%d]: the Gateway's Service does not have %s; ask for one that its load balancer gives, or for none", i, want.Value)
		if p.refused != "" {
			message = fmt.Sprintf("addresses[%d]: %s", i, p.refused)
		}
		return new(status.False(programmed, gatewayv1.GatewayReasonAddressNotUsable, message))
	}
	switch {
	case p.refused != "":
		return new(status.False(programmed, gatewayv1.GatewayReasonNoResources, p.refused))
	case len(p.targets) < len(numbers(p.open)):
		return new(status.False(programmed, gatewayv1.GatewayReasonNoResources, noPort))
	case p.service == nil:
		return new(status.Unknown(programmed, gatewayv1.GatewayReasonPending, "waiting for the Gateway's Service"))
	case len(assigned) == 0:
		return new(status.False(programmed, gatewayv1.GatewayReasonAddressNotAssigned,
			fmt.Sprintf("Service %s/%s of type %s has no address yet; does the cluster have what gives it one?", p.service.Namespace, p.service.Name, p.service.Spec.Type)))
	}
	return nil
}

// hasAddress compares IP addresses as such, whatever way they are written.
func hasAddress(assigned []gatewayv1.GatewayStatusAddress, want gatewayv1.GatewaySpecAddress) bool {
	ip, err := netip.ParseAddr(want.Value)
	for _, a := range assigned {
		if a.Value == want.Value {
			return true
		}
		if other, otherErr := netip.ParseAddr(a.Value); err == nil && otherErr == nil && ip == other {
			return true
		}
	}
	return false
}
