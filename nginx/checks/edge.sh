# shellcheck shell=sh
# Part of the entrypoint: makes nginx an edge if MIRROR_ORIGINS is set. Then it asks these origins instead of reading the
# document root, and caches their answers in /cache.
origins=$(echo "${MIRROR_ORIGINS:-}" | tr , ' ')
password=/run/secrets/origin_password

if [ -z "${origins% }" ]; then
  [ ! -s "$password" ] || stop "MIRROR_ORIGIN_PASSWORD_FILE is set, but MIRROR_ORIGINS is not"
  ln -s /etc/nginx/tree /tmp/nginx/content
else
  mkdir /tmp/nginx/content
  find /etc/nginx/edge -name '*.conf' -exec ln -s -t /tmp/nginx/content {} +
  # An edge of a bucket has a control of its own; another edge asks its origin's.
  [ -z "$bucket" ] || ln -sf /etc/nginx/tree/control.conf /tmp/nginx/content/
  [ -w /cache ] || stop "${MIRROR_EDGE_CACHE:-the volume edge-cache}: not writable by user $(id -u); run chown $(id -u) on it"
  size=${MIRROR_EDGE_SIZE:-50g} files=${MIRROR_EDGE_FILES:-400000}
  echo "$size" | grep -qE '^[1-9][0-9]{0,5}[mgMG]$' || stop "MIRROR_EDGE_SIZE=$size: must be a size such as 500g"
  echo "$files" | grep -qE '^[1-9][0-9]{3,8}$' || stop "MIRROR_EDGE_FILES=$files: must be a number of 1000 or more"

  # Markers outlive a restart. What happened in a longer absence than the list goes back, nobody can say.
  if [ -n "$(find /cache/read -maxdepth 0 -mtime +28 2>/dev/null)" ]; then
    echo "the cache is deleted: it is older than the origin's list of changes" >&2
    rm -rf /cache/pages /cache/files
  fi
  # nginx forgets at a restart how long nobody has requested a file. No marker (edge.js) is needed for longer than this
  # and inactive=30d together. A file that is requested is confirmed by its origin, and so younger.
  (find /cache/files -type f -mtime +30 -delete 2>/dev/null &)
  mkdir -p /cache/changed/simple /cache/changed/packages
  [ -e /cache/changed/all ] || : >/cache/changed/not_all
  mkdir -p /tmp/nginx/edge /tmp/nginx/http

  cat /etc/ssl/certs/ca-certificates.crt >/tmp/nginx/edge/ca.pem
  [ ! -s /run/secrets/ca ] || cat /run/secrets/ca >>/tmp/nginx/edge/ca.pem

  authorization='' known=no
  if [ -s "$password" ]; then
    [ -r "$password" ] || stop "${MIRROR_ORIGIN_PASSWORD_FILE:-$password}: not readable by user $(id -u); run chown $(id -u) on it"
    grep -qE '^[^:]+:.+$' "$password" || stop "MIRROR_ORIGIN_PASSWORD_FILE: must have one line, NAME:PASSWORD"
    [ -e /tmp/nginx/htpasswd.conf ] || stop "MIRROR_ORIGIN_PASSWORD_FILE is set, but MIRROR_NGINX lacks htpasswd: \
this edge would give everyone what the origin gives to those with a password"
    authorization="Basic $(head -n 1 "$password" | tr -d '\r\n' | base64 -w 0)" known=yes
  fi
  [ -e /tmp/nginx/htpasswd.conf ] || ln -s /etc/nginx/edge/locked.conf /tmp/nginx/
  ln -s /etc/nginx/edge/errors.conf /tmp/nginx/edge_errors.conf

  umask 077
  {
    # 8,000 objects take a megabyte; nginx removes the oldest when either bound is reached. Pages have a tenth of the
    # space and a quarter of the objects.
    zone=$((files / 8000 + 1))
    number=${size%[mgMG]} unit=${size#"$number"}
    [ "$unit" = m ] || [ "$unit" = M ] || number=$((number * 1024))
    pages=$((number / 10 + 1))
    echo "proxy_cache_path /cache/files levels=2:2 keys_zone=files:${zone}m max_size=${number}m min_free=256m \
inactive=30d use_temp_path=off;"
    echo "proxy_cache_path /cache/pages levels=2:2 keys_zone=pages:$((zone / 4 + 1))m max_size=${pages}m min_free=256m \
inactive=30d use_temp_path=off;"
    echo "map \$http_authorization \$origin_authorization { default '$authorization'; '~*^Bearer ' \$http_authorization; }"
    echo "map '' \$origin_password { default $known; }"
    # Errors of control say nothing about pages and files: what is not cached has a group of its own, without pauses.
    index=0 group='zone origins 64k;' uncached='zone uncached 64k;'
    for origin in $origins; do
      origin=${origin%/}
      echo "$origin" | grep -qE '^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*$' ||
        stop "MIRROR_ORIGINS: $origin is not a URL such as http://mirror.example.org:8080"
      host=$(echo "$origin" | sed -E 's|^https?://([^/]*).*|\1|')
      socket=unix:/tmp/nginx/edge/origin$index.sock backup=''
      [ $index = 0 ] || backup=' backup'
      group="$group server $socket max_fails=1 fail_timeout=10s$backup;"
      uncached="$uncached server $socket max_fails=0$backup;"
      echo "server { listen unix:/tmp/nginx/edge/origin$index.sock; access_log off; location / { set \$origin $origin; \
set \$origin_host $host; set \$origin_name $(echo "$host" | sed -E 's|:[0-9]+$||'); include edge/origin.conf; } include edge/away.conf; }"
      index=$((index + 1))
    done
    echo "upstream origins { $group }"
    echo "upstream uncached { $uncached }"
    # An origin that does not answer is a 502 of its socket: edge/away.conf.
    echo "proxy_next_upstream error timeout http_502 http_504;"
    echo "include edge/http.conf;"
  } >/tmp/nginx/http/edge.conf
  umask 022
fi
