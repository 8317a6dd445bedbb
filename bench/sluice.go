package main

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// gatewayYAML has one listener and one backend, the origin.
const gatewayYAML = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: bench, namespace: default}
spec:
  gatewayClassName: sluice
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners: [{name: http, protocol: HTTP, port: %d}]
---
apiVersion: v1
kind: Service
metadata: {name: origin, namespace: default}
spec:
  ports: [{port: 80, targetPort: %[2]s}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: origin-1, namespace: default, labels: {kubernetes.io/service-name: origin}}
addressType: IPv4
ports: [{name: "", port: %[2]s}]
endpoints: [{addresses: [127.0.0.1]}]
`

const routeYAML = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route-%[1]d, namespace: default}
spec:
  parentRefs: [{name: bench}]
  rules:
  - matches: [{path: {type: PathPrefix, value: %[2]s}}]
    filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: version, value: "%[3]d"}]}
    backendRefs: [{name: origin, port: 80}]
`

// versionYAML is the Gateway, the route and what they need for one version.
const versionYAML = `
---
apiVersion: v1
kind: Secret
metadata: {name: identity, namespace: default}
type: kubernetes.io/tls
data: {tls.crt: %s, tls.key: %s}
---
apiVersion: gateway.networking.k8s.io/v1
kind: %sRoute
metadata: {name: all, namespace: default}
spec:
  parentRefs: [{name: bench}]
  rules:
  - backendRefs: [{name: origin, port: 80}]
`

const http3YAML = `
---
apiVersion: sluice.dev/v1alpha1
kind: ClientPolicy
metadata: {name: http3, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: bench}]
  http3: {enabled: true}
`

func writeVersion(dir string, v version, id *identity, port int, origin string) error {
	_, originPort, err := net.SplitHostPort(origin)
	if err != nil {
		return err
	}
	objects, kind := fmt.Sprintf(gatewayYAML, port, originPort), "HTTP"
	if v.tls {
		objects = strings.Replace(objects, "protocol: HTTP,", "protocol: HTTPS, tls: {certificateRefs: [{name: identity}]},", 1)
	}
	if v.grpc {
		kind = "GRPC"
	}
	if v.h3 {
		objects += http3YAML
	}
	objects += fmt.Sprintf(versionYAML, base64.StdEncoding.EncodeToString(id.chainPEM), base64.StdEncoding.EncodeToString(id.keyPEM), kind)
	return os.WriteFile(filepath.Join(dir, "gateway.yaml"), []byte(objects), 0o600)
}

func writeGateway(dir string, port int, origin string) error {
	_, originPort, err := net.SplitHostPort(origin)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "gateway.yaml"), fmt.Appendf(nil, gatewayYAML, port, originPort), 0o644)
}

// writeRoute writes a route of its own file as editors do: whole, then renamed.
func writeRoute(dir string, number int, path string, version int) error {
	name := filepath.Join(dir, fmt.Sprintf("route-%d.yaml", number))
	temporary := filepath.Join(dir, ".route")
	if err := os.WriteFile(temporary, fmt.Appendf(nil, routeYAML, number, path, version), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}
