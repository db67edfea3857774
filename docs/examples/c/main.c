/* Sends one message over the link "engine" and prints the answer: main.cpp of the example application in C. */
#include <ferry/ferry.h>
#include <stdio.h>

int main(int argc, char** argv) {
  ferry_error error = {.struct_size = sizeof error};
  ferry_runtime* runtime = NULL;
  ferry_channel* channel = NULL;
  const void* reply = NULL;
  uint64_t size = 0;
  if (ferry_runtime_load(argc > 1 ? argv[1] : "app.json", &runtime, &error) != FERRY_OK ||
      ferry_connect(runtime, "engine", &channel, &error) != FERRY_OK) {
    fprintf(stderr, "%s\n", error.message);
    ferry_runtime_free(runtime);
    return 1;
  }
  const int64_t deadline = ferry_deadline_after(5000000000);
  ferry_status status = ferry_channel_send(channel, "hello", 5, deadline);
  if (status == FERRY_OK) status = ferry_channel_receive(channel, &reply, &size, deadline);
  if (status == FERRY_OK) printf("%.*s\n", (int)size, (const char*)reply);
  if (status != FERRY_OK) fprintf(stderr, "%s\n", ferry_status_text(status));
  ferry_channel_close(channel);
  ferry_runtime_free(runtime);
  return status == FERRY_OK ? 0 : 1;
}
