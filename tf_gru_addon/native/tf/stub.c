/* Empty. Built as libtensorflow_framework.so.2, it lets the op's library be linked where
 * there is no TensorFlow; the one that the process has loaded is what it finds there. */
typedef int tf_gru_addon_nothing;
