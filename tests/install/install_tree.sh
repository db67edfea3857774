#!/bin/bash
# install_tree.sh BUILD_DIR SOURCE_DIR CXX CC: installs into a private prefix, builds the documentation's examples against
# nothing but that, and runs the example application against an echo service.
set -euo pipefail
build=$1 source=$2
export CXX=$3 CC=$4
work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server"; wait "$server" || true; fi; rm -rf "$work"' EXIT
prefix=$work/prefix

cmake --install "$build" --prefix "$prefix" >/dev/null
for example in app c plugins; do
  cmake -S "$source/docs/examples/$example" -B "$work/$example" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
    -DFERRY_INCLUDE_DIR="$prefix/include" -DFERRY_PLUGIN_SUPPORT="$(echo "$prefix"/lib*/libferry_plugin_support.a)" >"$work/log" 2>&1 &&
    cmake --build "$work/$example" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
done

# The command finds its plugins and the probe from where it is, and nowhere else.
for plugin in tcp uds; do
  "$prefix/bin/ferry" inspect "$plugin" | grep -q "^  file  *$prefix/lib[^:]*/ferry/$plugin.so$"
done

echo '{ "services": [ { "name": "echo", "service": "echo", "framing": "messages", "listen": ["tcp://127.0.0.1:0"] } ] }' >"$work/serve.json"
mkfifo "$work/ready"
"$prefix/bin/ferry" serve "$work/serve.json" >"$work/ready" &
server=$!
read -r -t 20 word descriptor _ <"$work/ready"
[ "$word" = listening ]
echo "{ \"links\": { \"engine\": { \"endpoints\": [\"$descriptor\"] } } }" >"$work/app.json"
# The application's executable is not beside the plugins: it is told where they are.
reply=$(FERRY_PLUGIN_PATH=$(dirname "$prefix"/lib*/ferry/tcp.so) timeout 20 "$work/app/app" "$work/app.json")
[ "$reply" = hello ] || { echo "expected hello, got $reply"; exit 1; }
reply=$(timeout 20 "$work/c/c_app" "$work/app.json") || true
[ "$reply" = hello ] || { echo "expected hello in C, got $reply"; exit 1; }
