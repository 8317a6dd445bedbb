{{- define "sluice.selector" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sluice.labels" -}}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "sluice.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* The program's own limit is nine tenths of the container's: the rest is for
what the Go runtime does not count. The schema leaves only Mi and Gi. */ -}}
{{- define "sluice.memoryLimit" -}}
{{- $mebibytes := regexFind "^[0-9]+" . | int -}}
{{- if hasSuffix "Gi" . }}{{ $mebibytes = mul $mebibytes 1024 }}{{ end -}}
{{ div (mul $mebibytes 9) 10 }}MiB
{{- end }}

{{- define "sluice.probe" -}}
httpGet:
  path: {{ index . 0 }}
  port: health
  {{- if not (index . 1) }}
  host: 127.0.0.1
  {{- end }}
{{- end }}
