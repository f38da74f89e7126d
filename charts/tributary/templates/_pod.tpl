{{/* Parts of every pod. Arguments: dict "root" $ "role" "router" "values" .Values.router */}}

{{/* Settings as TRIBUTARY_... variables: flag-name -> TRIBUTARY_FLAG_NAME. */}}
{{- define "tributary.settingsData" -}}
{{- range $flag, $value := merge (dict) (.values.settings | default dict) (.root.Values.settings | default dict) }}
TRIBUTARY_{{ $flag | upper | replace "-" "_" }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/* Where Redis is: all that a controller needs of the connections. */}}
{{- define "tributary.redisData" -}}
{{- $v := .Values }}
TRIBUTARY_REDIS_PREFIX: {{ $v.redis.prefix | default (include "tributary.fullname" .) | quote }}
{{- with include "tributary.redisUrl" . }}
TRIBUTARY_REDIS_URL: {{ . | quote }}
{{- end }}
{{- with $v.redis.sentinels }}
TRIBUTARY_REDIS_SENTINELS: {{ . | quote }}
TRIBUTARY_REDIS_SENTINEL_MASTER: {{ $v.redis.sentinelMaster | quote }}
{{- end }}
{{- with $v.redis.existingSecret }}
TRIBUTARY_REDIS_PASSWORD_FILE: /etc/tributary/redis/password
{{- end }}
{{- with $v.redis.tls.existingSecret }}
TRIBUTARY_REDIS_CA_FILE: /etc/tributary/redis-tls/ca.crt
{{- if $v.redis.tls.clientCertificate }}
TRIBUTARY_REDIS_CERT_FILE: /etc/tributary/redis-tls/tls.crt
TRIBUTARY_REDIS_KEY_FILE: /etc/tributary/redis-tls/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{- define "tributary.connectionsData" -}}
{{- $v := .Values -}}
TRIBUTARY_KAFKA_BROKERS: {{ include "tributary.kafkaBrokers" . | quote }}
TRIBUTARY_KAFKA_TOPIC: {{ $v.kafka.topic | quote }}
TRIBUTARY_KAFKA_PROFILE: {{ ternary "development" $v.kafka.profile $v.dev.kafka.enabled | quote }}
{{- if $v.kafka.tls.enabled }}
TRIBUTARY_KAFKA_TLS: "true"
{{- with $v.kafka.tls.existingSecret }}
TRIBUTARY_KAFKA_CA_FILE: /etc/tributary/kafka-tls/ca.crt
{{- if $v.kafka.tls.clientCertificate }}
TRIBUTARY_KAFKA_CERT_FILE: /etc/tributary/kafka-tls/tls.crt
TRIBUTARY_KAFKA_KEY_FILE: /etc/tributary/kafka-tls/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- with $v.kafka.sasl.mechanism }}
TRIBUTARY_KAFKA_SASL_MECHANISM: {{ . | quote }}
TRIBUTARY_KAFKA_SASL_USERNAME: {{ $v.kafka.sasl.username | quote }}
TRIBUTARY_KAFKA_SASL_PASSWORD_FILE: /etc/tributary/kafka-sasl/password
{{- end }}
{{- include "tributary.redisData" . }}
TRIBUTARY_OBJECT_STORE: {{ include "tributary.storeUrl" . | quote }}
TRIBUTARY_OBJECT_STORE_REGION: {{ $v.objectStore.region | quote }}
{{- with include "tributary.storeEndpoint" . }}
TRIBUTARY_OBJECT_STORE_ENDPOINT: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Settings of a role: a change of them restarts its pods, and no others. */}}
{{- define "tributary.routerData" -}}
TRIBUTARY_STOP_TIMEOUT: {{ .Values.router.stopTimeout | quote }}
{{- if .Values.otlp.tls.enabled }}
TRIBUTARY_TLS_CERT_FILE: /etc/tributary/otlp-tls/tls.crt
TRIBUTARY_TLS_KEY_FILE: /etc/tributary/otlp-tls/tls.key
{{- if .Values.otlp.tls.clientAuth }}
TRIBUTARY_TLS_CLIENT_CA_FILE: /etc/tributary/otlp-tls/ca.crt
{{- end }}
{{- end }}
{{- with .Values.tenants.apiKeys }}
TRIBUTARY_API_KEYS: {{ ternary "redis" "/etc/tributary/tenants/keys.json" (eq . "redis") }}
{{- end }}
{{- with .Values.tenants.settings }}
TRIBUTARY_TENANT_SETTINGS: {{ ternary "redis" "/etc/tributary/tenants/tenants.json" (eq . "redis") }}
{{- end }}
{{- include "tributary.settingsData" (dict "root" . "values" .Values.router) }}
{{- end -}}

{{- define "tributary.ingesterData" -}}
TRIBUTARY_STOP_TIMEOUT: {{ .Values.ingester.stopTimeout | quote }}
{{- include "tributary.settingsData" (dict "root" . "values" .Values.ingester) }}
{{- end -}}

{{/* Arguments: dict "root" $ "role" "router" */}}
{{- define "tributary.configSum" -}}
{{ printf "%s\n%s" (include "tributary.connectionsData" .root) (include (printf "tributary.%sData" .role) .root) | sha256sum }}
{{- end -}}

{{- define "tributary.envFrom" -}}
- configMapRef: {name: {{ include "tributary.fullname" .root }}-connections}
- configMapRef: {name: {{ include "tributary.fullname" .root }}-{{ .role }}}
{{- with include "tributary.storeSecret" .root }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- define "tributary.redisMounts" -}}
{{- $v := .Values }}
{{- if $v.redis.existingSecret }}
- {name: redis, mountPath: /etc/tributary/redis, readOnly: true}
{{- end }}
{{- if $v.redis.tls.existingSecret }}
- {name: redis-tls, mountPath: /etc/tributary/redis-tls, readOnly: true}
{{- end }}
{{- end -}}

{{- define "tributary.redisVolumes" -}}
{{- $v := .Values }}
{{- if $v.redis.existingSecret }}
- {name: redis, secret: {secretName: {{ $v.redis.existingSecret }}, items: [{key: {{ $v.redis.passwordKey }}, path: password}]}}
{{- end }}
{{- if $v.redis.tls.existingSecret }}
- {name: redis-tls, secret: {secretName: {{ $v.redis.tls.existingSecret }}}}
{{- end }}
{{- end -}}

{{- define "tributary.secretMounts" -}}
{{- $v := .root.Values -}}
{{- if and $v.kafka.tls.enabled $v.kafka.tls.existingSecret }}
- {name: kafka-tls, mountPath: /etc/tributary/kafka-tls, readOnly: true}
{{- end }}
{{- if $v.kafka.sasl.mechanism }}
- {name: kafka-sasl, mountPath: /etc/tributary/kafka-sasl, readOnly: true}
{{- end }}
{{- include "tributary.redisMounts" .root }}
{{- if and (eq .role "router") $v.otlp.tls.enabled }}
- {name: otlp-tls, mountPath: /etc/tributary/otlp-tls, readOnly: true}
{{- end }}
{{- if and (eq .role "router") (include "tributary.hasTenantFiles" .root) }}
- {name: tenants, mountPath: /etc/tributary/tenants, readOnly: true}
{{- end }}
{{- end -}}

{{- define "tributary.secretVolumes" -}}
{{- $v := .root.Values -}}
{{- if and $v.kafka.tls.enabled $v.kafka.tls.existingSecret }}
- {name: kafka-tls, secret: {secretName: {{ $v.kafka.tls.existingSecret }}}}
{{- end }}
{{- if $v.kafka.sasl.mechanism }}
- {name: kafka-sasl, secret: {secretName: {{ $v.kafka.sasl.existingSecret }}, items: [{key: {{ $v.kafka.sasl.passwordKey }}, path: password}]}}
{{- end }}
{{- include "tributary.redisVolumes" .root }}
{{- if and (eq .role "router") $v.otlp.tls.enabled }}
- {name: otlp-tls, secret: {secretName: {{ $v.otlp.tls.existingSecret }}}}
{{- end }}
{{- if and (eq .role "router") (include "tributary.hasTenantFiles" .root) }}
- {name: tenants, secret: {secretName: {{ $v.tenants.existingSecret }}}}
{{- end }}
{{- end -}}

{{/* What the "restricted" Pod Security level asks for. */}}
{{- define "tributary.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- define "tributary.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "tributary.scheduling" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.topologySpread }}
topologySpreadConstraints:
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $.values.topologySpread }}
    labelSelector:
      matchLabels: {{ include "tributary.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Liveness asks the process alone; readiness may depend on Kafka, Redis and the bucket. It is asked every
second: a rolling update waits for it, pod by pod. */}}
{{- define "tributary.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 6
{{- end -}}
