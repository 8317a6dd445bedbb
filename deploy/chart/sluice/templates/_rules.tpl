{{- define "sluice.rules.read" }}
- apiGroups: [gateway.networking.k8s.io]
  resources:
  - backendtlspolicies
  - gatewayclasses
  - gateways
  - grpcroutes
  - httproutes
  - listenersets
  - referencegrants
  - tcproutes
  - tlsroutes
  - udproutes
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.x-k8s.io]
  resources: [xbackends, xbackendtrafficpolicies]
  verbs: [get, list, watch]
- apiGroups: [sluice.dev]
  resources: [backends, clientpolicies, gatewayparameters]
  verbs: [get, list, watch]
{{- end }}

{{- /* A ListenerSet has an effect only where the Gateway allows it. */}}
{{- define "sluice.rules.routes" }}
- apiGroups: [gateway.networking.k8s.io]
  resources:
  - backendtlspolicies
  - grpcroutes
  - httproutes
  - listenersets
  - tcproutes
  - tlsroutes
  - udproutes
  verbs: [create, delete, deletecollection, patch, update]
- apiGroups: [gateway.networking.x-k8s.io]
  resources: [xbackends, xbackendtrafficpolicies]
  verbs: [create, delete, deletecollection, patch, update]
- apiGroups: [sluice.dev]
  resources: [backends]
  verbs: [create, delete, deletecollection, patch, update]
{{- end }}

{{- /* A ReferenceGrant opens a namespace to others, as a RoleBinding does. */}}
{{- define "sluice.rules.grants" }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [referencegrants]
  verbs: [create, delete, deletecollection, patch, update]
{{- end }}

{{- /* A ClientPolicy says how a whole Gateway treats clients, and whom it believes. */}}
{{- define "sluice.rules.gateways" }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [create, delete, deletecollection, patch, update]
- apiGroups: [sluice.dev]
  resources: [clientpolicies]
  verbs: [create, delete, deletecollection, patch, update]
{{- end }}

{{- /* GatewayParameters are here because a class's may lift a protection, and RBAC
cannot tell them from a Gateway's. */}}
{{- define "sluice.rules.classes" }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [create, delete, deletecollection, patch, update]
- apiGroups: [sluice.dev]
  resources: [gatewayparameters]
  verbs: [create, delete, deletecollection, patch, update]
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [get, list, watch]
{{- end }}
