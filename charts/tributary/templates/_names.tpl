{{/* Names and labels. */}}
{{- define "tributary.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "tributary.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "tributary.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tributary.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Arguments: dict "root" $ "role" "router" */}}
{{- define "tributary.selector" -}}
app.kubernetes.io/name: {{ include "tributary.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "tributary.labels" -}}
{{ include "tributary.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tributary.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "tributary.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ include "tributary.fullname" . }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* Addresses: those given, or those of the dev servers. */}}
{{- define "tributary.kafkaBrokers" -}}
{{- if .Values.dev.kafka.enabled }}{{ include "tributary.fullname" . }}-dev-kafka:9092{{ else }}{{ .Values.kafka.brokers }}{{ end -}}
{{- end -}}
{{- define "tributary.redisUrl" -}}
{{- if .Values.dev.redis.enabled }}redis://{{ include "tributary.fullname" . }}-dev-redis:6379{{ else }}{{ .Values.redis.url }}{{ end -}}
{{- end -}}
{{- define "tributary.storeUrl" -}}
{{- if .Values.dev.objectStore.enabled }}s3://{{ .Values.dev.objectStore.bucket }}{{ else }}{{ .Values.objectStore.url }}{{ end -}}
{{- end -}}
{{- define "tributary.storeEndpoint" -}}
{{- if .Values.dev.objectStore.enabled }}http://{{ include "tributary.fullname" . }}-dev-s3:7070{{ else }}{{ .Values.objectStore.endpoint }}{{ end -}}
{{- end -}}
{{- define "tributary.storeSecret" -}}
{{- if .Values.dev.objectStore.enabled }}{{ include "tributary.fullname" . }}-dev-s3{{ else }}{{ .Values.objectStore.existingSecret }}{{ end -}}
{{- end -}}

{{/* Seconds of a duration such as 90s, 5m or 1h. */}}
{{- define "tributary.seconds" -}}
{{- $text := toString . -}}
{{- if hasSuffix "ms" $text -}}{{ fail (printf "%s: give seconds, minutes or hours" $text) }}
{{- else if hasSuffix "s" $text -}}{{ trimSuffix "s" $text }}
{{- else if hasSuffix "m" $text -}}{{ mul 60 (trimSuffix "m" $text | int) }}
{{- else if hasSuffix "h" $text -}}{{ mul 3600 (trimSuffix "h" $text | int) }}
{{- else -}}{{ fail (printf "%s is no duration: write 90s, 5m or 1h" $text) }}{{- end -}}
{{- end -}}

{{/* Whole MiB of a size such as 8Gi, 4GiB, 512Mi or 1073741824. */}}
{{- define "tributary.mebibytes" -}}
{{- $text := toString . | replace "iB" "i" -}}
{{- if hasSuffix "Ti" $text -}}{{ mul 1048576 (trimSuffix "Ti" $text | int) }}
{{- else if hasSuffix "Gi" $text -}}{{ mul 1024 (trimSuffix "Gi" $text | int) }}
{{- else if hasSuffix "Mi" $text -}}{{ trimSuffix "Mi" $text | int }}
{{- else if regexMatch "^[0-9]+$" $text -}}{{ div (int64 $text) 1048576 }}
{{- else -}}{{ fail (printf "%s: write sizes as 8Gi or 512Mi" $text) }}{{- end -}}
{{- end -}}

{{/* Ports of Redis and its sentinels, as a JSON list. */}}
{{- define "tributary.redisPorts" -}}
{{- $ports := list -}}
{{- range $address := splitList "," .Values.redis.sentinels -}}
{{- if $address -}}
{{- $ports = append $ports (splitList ":" $address | last) -}}
{{- end -}}
{{- end -}}
{{- with regexFind ":[0-9]+" (include "tributary.redisUrl" . | trimPrefix "redis:" | trimPrefix "rediss:") -}}
{{- $ports = append $ports (trimPrefix ":" .) -}}
{{- else -}}
{{- $ports = append $ports "6379" -}}
{{- end -}}
{{- toJson $ports -}}
{{- end -}}

{{/* Names, and what is outside. Arguments: dict "root" $ "ports" (list "6379") */}}
{{- define "tributary.egressTo" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- with .root.Values.networkPolicy.externalTo }}
{{ toYaml . }}
{{- else }}
- ports:
    {{- range $port := uniq .ports }}
    - {port: {{ $port }}}
    {{- end }}
{{- end }}
{{- end -}}

{{/* What routers and ingesters call: names, Kafka, Redis, the bucket. */}}
{{- define "tributary.egress" -}}
{{- $ports := list -}}
{{- range $address := splitList "," (include "tributary.kafkaBrokers" .) -}}
{{- $ports = append $ports (splitList ":" $address | last | default "9092") -}}
{{- end -}}
{{- $ports = concat $ports (include "tributary.redisPorts" . | fromJsonArray) -}}
{{- $endpoint := include "tributary.storeEndpoint" . -}}
{{- with regexFind ":[0-9]+" ($endpoint | trimPrefix "http:" | trimPrefix "https:") -}}
{{- $ports = append $ports (trimPrefix ":" .) -}}
{{- else -}}
{{- $ports = append $ports (ternary "80" "443" (hasPrefix "http:" $endpoint)) -}}
{{- end -}}
{{- include "tributary.egressTo" (dict "root" . "ports" $ports) -}}
{{- end -}}

{{- define "tributary.devService" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "tributary.fullname" .root }}-{{ .name }}
  labels: {{ include "tributary.labels" .args | nindent 4 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{ include "tributary.selector" .args | nindent 4 }}
  ports: [{name: tcp, port: {{ .port }}}]
{{- end -}}

{{- define "tributary.hasTenantFiles" -}}
{{- if or (eq .Values.tenants.apiKeys "secret") (eq .Values.tenants.settings "secret") }}yes{{ end -}}
{{- end -}}
