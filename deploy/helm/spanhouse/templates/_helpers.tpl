{{- define "spanhouse.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "spanhouse.selector" -}}
app.kubernetes.io/name: spanhouse
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: receiver
{{- end -}}

{{- define "spanhouse.labels" -}}
app.kubernetes.io/name: spanhouse
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "spanhouse.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* "true" where the store is inside the receiver. */ -}}
{{- define "spanhouse.embedded" -}}
{{- if eq .Values.store.kind "embedded" -}}true{{- end -}}
{{- end -}}

{{- /* "true" where the ClickHouse-compatible endpoint can be reached: an embedded store's, by clients with a token. */ -}}
{{- define "spanhouse.queries" -}}
{{- if and (include "spanhouse.embedded" .) .Values.tokens.secretName -}}true{{- end -}}
{{- end -}}

{{- /* The ports of Services and their protocols. */ -}}
{{- define "spanhouse.ports" -}}
- {name: grpc, port: 4317, targetPort: grpc{{ if not .Values.tls.secretName }}, appProtocol: kubernetes.io/h2c{{ end }}}
- {name: http, port: 4318, targetPort: http{{ if .Values.tls.secretName }}, appProtocol: https{{ end }}}
{{- if .Values.tokens.secretName }}
- {name: console, port: 8080, targetPort: console{{ if .Values.tls.secretName }}, appProtocol: https{{ end }}}
{{- end }}
{{- if include "spanhouse.queries" . }}
- {name: clickhouse-http, port: 8123, targetPort: clickhouse-http{{ if .Values.tls.secretName }}, appProtocol: https{{ end }}}
{{- end }}
{{- end -}}

{{- /* Combinations of values that are refused. One line each: the fault and the remedy. */ -}}
{{- define "spanhouse.check" -}}
{{- if not (or .Values.tokens.secretName .Values.tls.clientCA) -}}
{{- fail "the listeners are open to the network, and nothing says who may send: set tokens.secretName to a Secret with a token file, or tls.clientCA for client certificates" -}}
{{- end -}}
{{- if and .Values.tls.clientCA (not .Values.tls.secretName) -}}
{{- fail "tls.clientCA: client certificates need TLS: set tls.secretName to a Secret with tls.crt, tls.key and ca.crt" -}}
{{- end -}}
{{- if include "spanhouse.embedded" . -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail "autoscaling.enabled: an embedded store has one receiver: set store.kind to server, or leave autoscaling off" -}}
{{- end -}}
{{- if or .Values.store.dsn.secretName .Values.store.migrateDsn.secretName .Values.store.cluster -}}
{{- fail "store.dsn, store.migrateDsn and store.cluster are for a server: set store.kind to server, or leave them empty" -}}
{{- end -}}
{{- else if not .Values.store.dsn.secretName -}}
{{- fail "store.dsn.secretName: name the Secret that holds the DSN of the ClickHouse server, or set store.kind to embedded" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.tokens.secretName (not .Values.serviceMonitor.token.secretName) -}}
{{- fail "serviceMonitor.token.secretName: /metrics asks for a token where tokens.secretName is set: name a Secret with one that has the right read" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.tls.clientCA -}}
{{- fail "serviceMonitor.enabled: with tls.clientCA a scrape needs a client certificate, which this chart does not hand out: write a ServiceMonitor of your own" -}}
{{- end -}}
{{- end -}}

{{- define "spanhouse.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "spanhouse.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "spanhouse.probe" -}}
{{- if .root.Values.tls.clientCA -}}
tcpSocket: {port: http}
{{- else -}}
httpGet: {path: {{ .path }}, port: http{{ if .root.Values.tls.secretName }}, scheme: HTTPS{{ end }}}
{{- end -}}
{{- end -}}
