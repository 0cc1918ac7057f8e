/* An empty library. The build links against it under the name libtensorflow_framework.so.2,
 * so that it needs no TensorFlow; at run time, the loader finds the real one. */
typedef int tf_gru_addon_nothing;
