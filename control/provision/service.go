package provision

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
)

// Port is one that clients of a Gateway connect to.
type Port struct {
	Number uint16
	// Protocol is a listener's, or HTTP3.
	Protocol gatewayv1.ProtocolType
	// Target is the one that replicas listen on.
	Target uint16
}

// HTTP3 stands for what an HTTPS listener serves on the UDP port of its number.
const HTTP3 gatewayv1.ProtocolType = "HTTP3"

// Transport is the protocol that carries the port's.
func (p Port) Transport() corev1.Protocol {
	if p.Protocol == HTTP3 {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}

// Service is the one of a Gateway. It has no selector: EndpointSlices of Sluice's
// own say which replicas listen. The ports are in rising order.
func Service(gateway *gatewayv1.Gateway, ports []Port, parameters v1alpha1.ServiceParameters) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   gateway.Namespace,
			Name:        ServiceName(gateway.Name, string(gateway.Spec.GatewayClassName)),
			Labels:      labels(gateway),
			Annotations: annotations(gateway),
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: gatewayv1.GroupVersion.String(), Kind: "Gateway",
				Name: gateway.Name, UID: gateway.UID, Controller: new(true),
			}},
		},
		Spec: corev1.ServiceSpec{
			Type:           cmp.Or(parameters.Type, corev1.ServiceTypeLoadBalancer),
			IPFamilyPolicy: new(corev1.IPFamilyPolicyPreferDualStack),
		},
	}
	for _, p := range ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: portName(p), Protocol: p.Transport(), Port: int32(p.Number), TargetPort: intstr.FromInt32(int32(p.Target)),
		})
	}
	place(&s.Spec, parameters, requestedIP(gateway))
	return s
}

func portName(p Port) string {
	return fmt.Sprintf("%s-%d", strings.ToLower(string(p.Protocol)), p.Number)
}

// place says where the Service is reached.
func place(spec *corev1.ServiceSpec, parameters v1alpha1.ServiceParameters, ip string) {
	switch spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		spec.ExternalTrafficPolicy = cmp.Or(parameters.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyLocal)
		spec.LoadBalancerClass = parameters.LoadBalancerClass
		spec.LoadBalancerIP = ip
	case corev1.ServiceTypeNodePort:
		spec.ExternalTrafficPolicy = cmp.Or(parameters.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	case corev1.ServiceTypeClusterIP:
		spec.ClusterIP = ip
	}
}

// requestedIP is the first address that the Gateway asks for. A Service can ask
// for one only.
func requestedIP(gateway *gatewayv1.Gateway) string {
	for _, a := range gateway.Spec.Addresses {
		if ip, err := netip.ParseAddr(a.Value); err == nil {
			return ip.String()
		}
	}
	return ""
}

// labels are those of spec.infrastructure and, before them, Sluice's own.
func labels(gateway *gatewayv1.Gateway) map[string]string {
	all := map[string]string{}
	if infrastructure := gateway.Spec.Infrastructure; infrastructure != nil {
		for key, value := range infrastructure.Labels {
			all[string(key)] = string(value)
		}
	}
	maps.Copy(all, map[string]string{
		v1alpha1.LabelManagedBy:       v1alpha1.ManagedBySluice,
		gatewayv1.GatewayNameLabelKey: LabelValue(gateway.Name),
	})
	return all
}

func annotations(gateway *gatewayv1.Gateway) map[string]string {
	if gateway.Spec.Infrastructure == nil || len(gateway.Spec.Infrastructure.Annotations) == 0 {
		return nil
	}
	all := map[string]string{}
	for key, value := range gateway.Spec.Infrastructure.Annotations {
		all[string(key)] = string(value)
	}
	delete(all, corev1.LastAppliedConfigAnnotation) // kubectl's own, about another object
	return all
}

// PortsOf are the ports of a Service that Sluice made; none if it is nil.
func PortsOf(service *corev1.Service) []Port {
	if service == nil {
		return nil
	}
	targets := Remembered(service)
	var ports []Port
	for _, p := range service.Spec.Ports {
		if target := targets[uint16(p.Port)]; target != 0 {
			protocol, _, _ := strings.Cut(p.Name, "-")
			ports = append(ports, Port{Number: uint16(p.Port), Protocol: gatewayv1.ProtocolType(strings.ToUpper(protocol)), Target: target})
		}
	}
	return ports
}

// ParametersOf are those that the Service looks like.
func ParametersOf(service *corev1.Service) v1alpha1.ServiceParameters {
	return v1alpha1.ServiceParameters{
		Type:                  service.Spec.Type,
		ExternalTrafficPolicy: service.Spec.ExternalTrafficPolicy,
		LoadBalancerClass:     service.Spec.LoadBalancerClass,
	}
}

// Addresses are where clients reach the Service now, as status.addresses of the
// Gateway has them. A nil Service has none.
func Addresses(service *corev1.Service, replicas []Replica) []gatewayv1.GatewayStatusAddress {
	if service == nil {
		return nil
	}
	var all []gatewayv1.GatewayStatusAddress
	switch service.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			if ingress.IP != "" {
				all = append(all, address(gatewayv1.IPAddressType, ingress.IP))
			}
			if ingress.Hostname != "" {
				all = append(all, address(gatewayv1.HostnameAddressType, ingress.Hostname))
			}
		}
	case corev1.ServiceTypeNodePort:
		return HostAddresses(replicas)
	default:
		for _, ip := range service.Spec.ClusterIPs {
			if ip != corev1.ClusterIPNone {
				all = append(all, address(gatewayv1.IPAddressType, ip))
			}
		}
	}
	return all
}

func address(kind gatewayv1.AddressType, value string) gatewayv1.GatewayStatusAddress {
	return gatewayv1.GatewayStatusAddress{Type: &kind, Value: value}
}
