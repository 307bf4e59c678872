# shellcheck shell=sh
# Part of the entrypoint: if MIRROR_DATA names a bucket, nginx is an edge whose origin is that bucket.
key=/run/secrets/s3_key bucket=''

case "${MIRROR_DATA:-}" in
  s3://*)
    [ -z "${MIRROR_ORIGINS:-}" ] || stop "MIRROR_ORIGINS and a bucket in MIRROR_DATA are set: an edge has one or the other"
    bucket=${MIRROR_DATA#s3://} bucket=${bucket%/}
    echo "$bucket" | grep -qE '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*$' ||
      stop "MIRROR_DATA=$MIRROR_DATA: must name a bucket, as in s3://bucket/prefix"
    endpoint=${MIRROR_S3_ENDPOINT:-} endpoint=${endpoint%/}
    echo "$endpoint" | grep -qE '^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$' ||
      stop "MIRROR_S3_ENDPOINT=$endpoint: must be the URL of the object store, such as http://store.example.org:8000"
    region=${MIRROR_S3_REGION:-us-east-1}
    echo "$region" | grep -qE '^[a-z0-9-]+$' || stop "MIRROR_S3_REGION=$region: must be a region such as us-east-1"
    [ -r "$key" ] || stop "${MIRROR_S3_KEY_FILE:-$key}: not readable by user $(id -u); run chown $(id -u) on it"
    grep -qE '^[^:[:space:]]+:[^[:space:]]+$' "$key" || stop "MIRROR_S3_KEY_FILE: must have one line, ACCESSKEY:SECRETKEY"
    host=${endpoint#*://}
    mkdir -p /tmp/nginx/http
    {
      echo "map '' \$bucket_endpoint { default $endpoint; }"
      echo "map '' \$bucket_host { default $host; }"
      echo "map '' \$bucket_name { default $(echo "$host" | sed -E 's|:[0-9]+$||'); }"
      echo "map '' \$bucket_root { default /$bucket; }"
      echo "map '' \$bucket_region { default $region; }"
      echo "include bucket/http.conf;"
    } >/tmp/nginx/http/bucket.conf
    MIRROR_ORIGINS=http://127.0.0.1:8078
    ;;
esac
