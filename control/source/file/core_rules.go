package file

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// The rules for kinds of Kubernetes itself. They are what an API server refuses in a
// new object, as far as Sluice reads the field, with one difference: the addresses
// of endpoints may be loopback addresses, because here the proxy and its backends
// may well share a machine.

var namespaceKind = coreKind{
	name: apivalidation.NameIsDNSLabel,
	fill: func(object snapshot.Object) {
		namespace := object.(*corev1.Namespace)
		if namespace.Labels == nil {
			namespace.Labels = map[string]string{}
		}
		namespace.Labels[corev1.LabelMetadataName] = namespace.Name
	},
	rules: func(snapshot.Object) field.ErrorList { return nil },
}

var configMapKind = coreKind{
	name: apivalidation.NameIsDNSSubdomain,
	fill: func(snapshot.Object) {},
	rules: func(object snapshot.Object) field.ErrorList {
		return configMapRules(object.(*corev1.ConfigMap))
	},
}

func configMapRules(object *corev1.ConfigMap) (errs field.ErrorList) {
	size := 0
	for _, key := range sortedKeys(object.Data) {
		size += len(object.Data[key])
		errs = append(errs, keyRules(key, field.NewPath("data"))...)
		if _, twice := object.BinaryData[key]; twice {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(key), nil, "the key is in binaryData too"))
		}
	}
	for _, key := range sortedKeys(object.BinaryData) {
		size += len(object.BinaryData[key])
		errs = append(errs, keyRules(key, field.NewPath("binaryData"))...)
	}
	return append(errs, sizeRule(size, field.NewPath("data"))...)
}

func keyRules(key string, path *field.Path) (errs field.ErrorList) {
	for _, message := range validation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(path.Key(key), key, message))
	}
	return errs
}

func sizeRule(size int, path *field.Path) field.ErrorList {
	if size <= corev1.MaxSecretSize {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, fmt.Sprintf("holds %d bytes; the limit is %d", size, corev1.MaxSecretSize))}
}

var secretKind = coreKind{
	name: apivalidation.NameIsDNSSubdomain,
	fill: func(object snapshot.Object) {
		secret := object.(*corev1.Secret)
		if secret.Type == "" {
			secret.Type = corev1.SecretTypeOpaque
		}
		if secret.Data == nil && len(secret.StringData) > 0 {
			secret.Data = map[string][]byte{}
		}
		for key, text := range secret.StringData {
			secret.Data[key] = []byte(text)
		}
		secret.StringData = nil
	},
	rules: func(object snapshot.Object) field.ErrorList { return secretRules(object.(*corev1.Secret)) },
}

// secretRules never show a value.
func secretRules(object *corev1.Secret) (errs field.ErrorList) {
	data := field.NewPath("data")
	size := 0
	for _, key := range sortedKeys(object.Data) {
		size += len(object.Data[key])
		errs = append(errs, keyRules(key, data)...)
	}
	errs = append(errs, sizeRule(size, data)...)

	require := func(key string) {
		if _, ok := object.Data[key]; !ok {
			errs = append(errs, field.Required(data.Key(key), fmt.Sprintf("a Secret of type %s needs the key %s", object.Type, key)))
		}
	}
	switch object.Type {
	case corev1.SecretTypeTLS:
		require(corev1.TLSCertKey)
		require(corev1.TLSPrivateKeyKey)
	case corev1.SecretTypeSSHAuth:
		require(corev1.SSHAuthPrivateKey)
	case corev1.SecretTypeBasicAuth:
		if _, ok := object.Data[corev1.BasicAuthUsernameKey]; !ok {
			require(corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeDockercfg:
		require(corev1.DockerConfigKey)
		errs = append(errs, jsonRule(object.Data, corev1.DockerConfigKey)...)
	case corev1.SecretTypeDockerConfigJson:
		require(corev1.DockerConfigJsonKey)
		errs = append(errs, jsonRule(object.Data, corev1.DockerConfigJsonKey)...)
	case corev1.SecretTypeServiceAccountToken:
		if object.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	}
	return errs
}

func jsonRule(data map[string][]byte, key string) field.ErrorList {
	if text, ok := data[key]; ok && !json.Valid(text) {
		return field.ErrorList{field.Invalid(field.NewPath("data").Key(key), nil, "must be valid JSON")}
	}
	return nil
}

var serviceKind = coreKind{
	name:  apivalidation.NameIsDNSLabel,
	fill:  func(object snapshot.Object) { fillService(object.(*corev1.Service)) },
	rules: func(object snapshot.Object) field.ErrorList { return serviceRules(object.(*corev1.Service)) },
}

func fillService(object *corev1.Service) {
	spec := &object.Spec
	if spec.Type == "" {
		spec.Type = corev1.ServiceTypeClusterIP
	}
	if spec.SessionAffinity == "" {
		spec.SessionAffinity = corev1.ServiceAffinityNone
	}
	for i := range spec.Ports {
		port := &spec.Ports[i]
		if port.Protocol == "" {
			port.Protocol = corev1.ProtocolTCP
		}
		if port.TargetPort == (intstr.IntOrString{}) || port.TargetPort == intstr.FromString("") {
			port.TargetPort = intstr.FromInt32(port.Port)
		}
	}
}

func serviceRules(object *corev1.Service) (errs field.ErrorList) {
	spec, path := &object.Spec, field.NewPath("spec")
	errs = append(errs, serviceTypeRules(spec, path)...)
	errs = append(errs, servicePortsRules(spec, path.Child("ports"))...)
	errs = append(errs, clusterIPRules(spec, path)...)
	errs = append(errs, metav1validation.ValidateLabels(spec.Selector, path.Child("selector"))...)
	errs = append(errs, oneOf(spec.SessionAffinity, path.Child("sessionAffinity"), corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP)...)
	for i, address := range spec.ExternalIPs {
		errs = append(errs, ipRule(address, path.Child("externalIPs").Index(i))...)
	}
	for i, family := range spec.IPFamilies {
		errs = append(errs, oneOf(family, path.Child("ipFamilies").Index(i), corev1.IPv4Protocol, corev1.IPv6Protocol)...)
	}
	if spec.ExternalTrafficPolicy != "" {
		errs = append(errs, oneOf(spec.ExternalTrafficPolicy, path.Child("externalTrafficPolicy"),
			corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)...)
	}
	if spec.InternalTrafficPolicy != nil {
		errs = append(errs, oneOf(*spec.InternalTrafficPolicy, path.Child("internalTrafficPolicy"),
			corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	}
	return errs
}

func serviceTypeRules(spec *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	headless := spec.ClusterIP == corev1.ClusterIPNone
	switch spec.Type {
	case corev1.ServiceTypeExternalName:
		return externalNameRules(spec, path)
	case corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		if headless {
			return field.ErrorList{field.Invalid(path.Child("clusterIP"), spec.ClusterIP, fmt.Sprintf("may not be None for a Service of type %s", spec.Type))}
		}
	}
	errs := oneOf(spec.Type, path.Child("type"), corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort,
		corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	if len(spec.Ports) == 0 && !headless {
		errs = append(errs, field.Required(path.Child("ports"), "a Service needs ports, unless it is headless or an ExternalName"))
	}
	return errs
}

func externalNameRules(spec *corev1.ServiceSpec, path *field.Path) (errs field.ErrorList) {
	if spec.ClusterIP != "" {
		errs = append(errs, field.Forbidden(path.Child("clusterIP"), "may not be set for a Service of type ExternalName"))
	}
	if spec.ExternalName == "" {
		return append(errs, field.Required(path.Child("externalName"), ""))
	}
	for _, message := range validation.IsDNS1123Subdomain(strings.TrimSuffix(spec.ExternalName, ".")) {
		errs = append(errs, field.Invalid(path.Child("externalName"), spec.ExternalName, message))
	}
	return errs
}

func servicePortsRules(spec *corev1.ServiceSpec, path *field.Path) (errs field.ErrorList) {
	type number struct {
		corev1.Protocol
		port int32
	}
	names, numbers := map[string]bool{}, map[number]bool{}
	for i := range spec.Ports {
		port, path := &spec.Ports[i], path.Index(i)
		if port.Name == "" && len(spec.Ports) > 1 {
			errs = append(errs, field.Required(path.Child("name"), "each of several ports needs a name"))
		}
		if port.Name != "" {
			errs = append(errs, labelRule(port.Name, path.Child("name"))...)
			errs = append(errs, unique(names, port.Name, port.Name, path.Child("name"))...)
		}
		errs = append(errs, unique(numbers, number{port.Protocol, port.Port}, fmt.Sprintf("%d/%s", port.Port, port.Protocol), path)...)
		errs = append(errs, servicePortRules(spec, port, path)...)
	}
	return errs
}

func servicePortRules(spec *corev1.ServiceSpec, port *corev1.ServicePort, path *field.Path) field.ErrorList {
	errs := portRule(port.Port, path.Child("port"))
	errs = append(errs, protocolRule(port.Protocol, path.Child("protocol"))...)
	errs = append(errs, appProtocolRule(port.AppProtocol, path.Child("appProtocol"))...)
	switch target := port.TargetPort; {
	case target.Type == intstr.Int && target.IntVal != port.Port:
		errs = append(errs, portRule(target.IntVal, path.Child("targetPort"))...)
	case target.Type == intstr.String:
		for _, message := range validation.IsValidPortName(target.StrVal) {
			errs = append(errs, field.Invalid(path.Child("targetPort"), target.StrVal, message))
		}
	}
	if port.NodePort == 0 {
		return errs
	}
	if spec.Type == corev1.ServiceTypeClusterIP {
		return append(errs, field.Forbidden(path.Child("nodePort"), "may not be set for a Service of type ClusterIP"))
	}
	return append(errs, portRule(port.NodePort, path.Child("nodePort"))...)
}

func clusterIPRules(spec *corev1.ServiceSpec, path *field.Path) (errs field.ErrorList) {
	if spec.ClusterIP != "" && spec.ClusterIP != corev1.ClusterIPNone {
		errs = append(errs, ipRule(spec.ClusterIP, path.Child("clusterIP"))...)
	}
	if len(spec.ClusterIPs) == 0 {
		return errs
	}
	if len(spec.ClusterIPs) > 2 {
		errs = append(errs, field.TooMany(path.Child("clusterIPs"), len(spec.ClusterIPs), 2))
	}
	if spec.ClusterIPs[0] != spec.ClusterIP {
		errs = append(errs, field.Invalid(path.Child("clusterIPs").Index(0), spec.ClusterIPs[0], "the first must be the same as clusterIP"))
	}
	for i, address := range spec.ClusterIPs[1:] {
		errs = append(errs, ipRule(address, path.Child("clusterIPs").Index(i+1))...)
	}
	return errs
}

const (
	maxEndpoints         = 1000
	maxEndpointAddresses = 100
	maxEndpointPorts     = 20000
)

var endpointSliceKind = coreKind{
	name: apivalidation.NameIsDNSSubdomain,
	fill: func(object snapshot.Object) {
		slice := object.(*discoveryv1.EndpointSlice)
		for i := range slice.Ports {
			port := &slice.Ports[i]
			if port.Name == nil {
				port.Name = new(string)
			}
			if port.Protocol == nil {
				port.Protocol = new(corev1.Protocol)
			}
			if *port.Protocol == "" {
				*port.Protocol = corev1.ProtocolTCP
			}
		}
	},
	rules: func(object snapshot.Object) field.ErrorList {
		return endpointSliceRules(object.(*discoveryv1.EndpointSlice))
	},
}

func endpointSliceRules(object *discoveryv1.EndpointSlice) (errs field.ErrorList) {
	if object.AddressType == "" {
		errs = append(errs, field.Required(field.NewPath("addressType"), "IPv4, IPv6 or FQDN"))
	} else {
		errs = append(errs, oneOf(object.AddressType, field.NewPath("addressType"),
			discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)...)
	}
	if len(object.Endpoints) > maxEndpoints {
		errs = append(errs, field.TooMany(field.NewPath("endpoints"), len(object.Endpoints), maxEndpoints))
	}
	for i := range object.Endpoints {
		errs = append(errs, endpointRules(&object.Endpoints[i], object.AddressType, field.NewPath("endpoints").Index(i))...)
	}
	return append(errs, endpointPortsRules(object.Ports, field.NewPath("ports"))...)
}

func endpointRules(endpoint *discoveryv1.Endpoint, addresses discoveryv1.AddressType, path *field.Path) (errs field.ErrorList) {
	switch count := len(endpoint.Addresses); {
	case count == 0:
		errs = append(errs, field.Required(path.Child("addresses"), "an endpoint needs an address"))
	case count > maxEndpointAddresses:
		errs = append(errs, field.TooMany(path.Child("addresses"), count, maxEndpointAddresses))
	}
	seen := map[string]bool{}
	for i, address := range endpoint.Addresses {
		path := path.Child("addresses").Index(i)
		errs = append(errs, endpointAddressRules(address, addresses, path)...)
		errs = append(errs, unique(seen, address, address, path)...)
	}
	if endpoint.Hostname != nil {
		errs = append(errs, labelRule(*endpoint.Hostname, path.Child("hostname"))...)
	}
	if len(endpoint.DeprecatedTopology) > 0 {
		errs = append(errs, field.Forbidden(path.Child("deprecatedTopology"), "may not be set in v1"))
	}
	return errs
}

func endpointAddressRules(address string, kind discoveryv1.AddressType, path *field.Path) (errs field.ErrorList) {
	if kind == discoveryv1.AddressTypeFQDN {
		return validation.IsFullyQualifiedDomainName(path, address)
	}
	ip, err := netip.ParseAddr(address)
	switch {
	case err != nil || ip.Zone() != "":
		return ipRule(address, path)
	case kind == discoveryv1.AddressTypeIPv4 && !ip.Is4():
		return field.ErrorList{field.Invalid(path, address, "must be an IPv4 address, as addressType says")}
	case kind == discoveryv1.AddressTypeIPv6 && !ip.Is6():
		return field.ErrorList{field.Invalid(path, address, "must be an IPv6 address, as addressType says")}
	case ip.IsUnspecified(), ip.IsLinkLocalUnicast(), ip.IsLinkLocalMulticast():
		return field.ErrorList{field.Invalid(path, address, "may be neither unspecified nor link-local")}
	}
	return nil
}

func endpointPortsRules(ports []discoveryv1.EndpointPort, path *field.Path) (errs field.ErrorList) {
	if len(ports) > maxEndpointPorts {
		errs = append(errs, field.TooMany(path, len(ports), maxEndpointPorts))
	}
	names := map[string]bool{}
	for i := range ports {
		port, path := &ports[i], path.Index(i)
		if *port.Name != "" {
			errs = append(errs, labelRule(*port.Name, path.Child("name"))...)
		}
		errs = append(errs, unique(names, *port.Name, *port.Name, path.Child("name"))...)
		errs = append(errs, protocolRule(*port.Protocol, path.Child("protocol"))...)
		errs = append(errs, appProtocolRule(port.AppProtocol, path.Child("appProtocol"))...)
		if port.Port != nil {
			errs = append(errs, portRule(*port.Port, path.Child("port"))...)
		}
	}
	return errs
}

func portRule(port int32, path *field.Path) (errs field.ErrorList) {
	for _, message := range validation.IsValidPortNum(int(port)) {
		errs = append(errs, field.Invalid(path, int64(port), message))
	}
	return errs
}

func protocolRule(protocol corev1.Protocol, path *field.Path) field.ErrorList {
	return oneOf(protocol, path, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
}

func appProtocolRule(protocol *string, path *field.Path) (errs field.ErrorList) {
	if protocol == nil {
		return nil
	}
	for _, message := range validation.IsQualifiedName(*protocol) {
		errs = append(errs, field.Invalid(path, *protocol, message))
	}
	return errs
}

func labelRule(name string, path *field.Path) (errs field.ErrorList) {
	for _, message := range validation.IsDNS1123Label(name) {
		errs = append(errs, field.Invalid(path, name, message))
	}
	return errs
}

func ipRule(address string, path *field.Path) field.ErrorList {
	return validation.IsValidIP(path, address)
}

func oneOf[T ~string](value T, path *field.Path, choices ...T) field.ErrorList {
	for _, choice := range choices {
		if value == choice {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, string(value), choices)}
}

func unique[K comparable](seen map[K]bool, key K, shown string, path *field.Path) field.ErrorList {
	if seen[key] {
		return field.ErrorList{field.Duplicate(path, shown)}
	}
	seen[key] = true
	return nil
}
